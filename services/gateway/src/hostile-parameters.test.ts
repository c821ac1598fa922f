/** Every field of every operation, as the descriptors have them, with values that nobody should send. */
import { create, type DescField, type Message, ScalarType } from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import {
  Format,
  ImageInfoSchema,
  type Operation,
  OperationSchema,
  OutputSchema,
  TransformRequestSchema,
} from '@imagemesh/api';
import { defaultLimits } from '@imagemesh/image';
import { MeshError, validateMessage } from '@imagemesh/rpc';
import { expect, it } from 'vitest';
import { planPipeline } from './plan.ts';

const info = create(ImageInfoSchema, {
  format: Format.JPEG,
  width: 640,
  height: 480,
  channels: 3,
  frames: 1,
  orientation: 1,
});
const numbers = [
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  1e308,
  -1e308,
  5e-324,
  -1,
  0,
  0.5,
  65536,
  1e9,
];
const integers = [-2147483648, -1, 0, 1, 2, 65535, 65536, 2147483647];
const texts = [
  '',
  '#',
  '#GGGGGG',
  '#12345',
  'x'.repeat(100_000),
  '<svg/>',
  '\0',
  '../../etc/passwd',
  '0'.repeat(64),
];

it('each ends in a plan or a refusal that names a limit or a field', () => {
  let refused = 0;
  let planned = 0;
  for (const member of OperationSchema.fields) {
    if (member.message === undefined) throw new Error(`${member.name} is no message`);
    for (const field of member.message.fields) {
      for (const value of hostileValues(field)) {
        const message = create(member.message);
        set(message, member.message, field, value);
        // The pair belongs together; the types cannot say so of a descriptor.
        const operation = { case: member.localName, value: message } as unknown as Operation['operation'];
        const end = outcome(create(OperationSchema, { operation }));
        const what = `${member.name}.${field.name} = ${String(value).slice(0, 40)}`;
        if (end === undefined) planned += 1;
        else expect(['invalid_argument', 'resource_exhausted'], what).toContain(end.code);
        if (end !== undefined) refused += 1;
      }
    }
  }
  expect(refused).toBeGreaterThan(500);
  expect(planned).toBeGreaterThan(50);
});

it('a bare operation, and one of a newer version, end in the same way', () => {
  for (const member of OperationSchema.fields) {
    if (member.message === undefined) continue;
    const operation = {
      case: member.localName,
      value: create(member.message),
    } as unknown as Operation['operation'];
    const end = outcome(create(OperationSchema, { operation }));
    if (end !== undefined) expect(end.code).toBe('invalid_argument');
  }
  expect(outcome(create(OperationSchema))?.code).toBe('invalid_argument');
});

function hostileValues(field: DescField): readonly unknown[] {
  if (field.fieldKind === 'enum') return [-1, 0, 1, 10, 99, 2147483647];
  const scalar = field.fieldKind === 'scalar' || field.fieldKind === 'list' ? field.scalar : undefined;
  const values = scalar === ScalarType.STRING ? texts : scalar === ScalarType.BOOL ? [true] : integers;
  const own = scalar === ScalarType.DOUBLE ? numbers : values;
  return field.fieldKind === 'list'
    ? [[], own, own.slice(0, 1), Array.from({ length: 1000 }, () => own[0])]
    : own;
}

function set(
  message: Message,
  schema: Parameters<typeof reflect>[0],
  field: DescField,
  value: unknown,
): void {
  // Unchecked, as bytes from the wire are.
  const target = message as unknown as Record<string, unknown>;
  target[field.localName] = value;
  expect(reflect(schema, message, false).desc).toBe(schema);
}

/** What refuses it; undefined where it is planned. */
function outcome(operation: Operation): MeshError | undefined {
  try {
    const source = { source: { case: 'data', value: new Uint8Array(1) } } as const;
    validateMessage(
      TransformRequestSchema,
      create(TransformRequestSchema, { source, operations: [operation] }),
    );
    planPipeline({ info, operations: [operation], output: create(OutputSchema), limits: defaultLimits });
    return undefined;
  } catch (error) {
    if (error instanceof MeshError) return error;
    throw error;
  }
}
