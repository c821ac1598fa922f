/** The first message of a call: the spec, and what of it can be checked before the source's bytes come. */
import { create, fromBinary, fromJson } from '@bufbuild/protobuf';
import {
  Format,
  MetadataPolicy,
  OperationSchema,
  ResizeRequestSchema,
  type WorkSpec,
  WorkSpecSchema,
} from '@imagemesh/api';
import {
  type CodedFormat,
  checkFrames,
  checkPixels,
  frameCount,
  type ImageLimits,
  isCodedFormat,
  operationName,
  pixelBytes,
  resolveOutput,
} from '@imagemesh/image';
import { invalidField, MeshError, validateMessage, type WireReader } from '@imagemesh/rpc';
import type { WorkResult } from './agents.ts';

/** A spec with its metadata, ICC profile included, is far smaller. */
const maxSpecBytes = 4 * 1024 * 1024;

/** Profiles of printers have up to 2 MiB; those of images are far smaller. */
const maxProfileBytes = 2 * 1024 * 1024;

/** Reads the spec and checks it: INVALID_REQUEST with the field, or a limit. `operations`: what this replica does. */
export async function readSpec(
  reader: WireReader,
  operations: ReadonlySet<string>,
  limits: ImageLimits,
): Promise<WorkSpec> {
  const bytes = await reader.message(maxSpecBytes);
  if (bytes === undefined) throw invalidField('spec', 'the call ended before its spec');
  const spec = parseSpec(bytes);
  checkSpec(spec, operations, limits);
  return spec;
}

/** Has the rules compiled that specs with these operations are checked by: 0.2 s, which the first call would wait for. */
export function warmUpRules(operations: ReadonlySet<string>): void {
  const [choice] = OperationSchema.oneofs;
  const known = (choice?.fields ?? []).filter(({ name }) => operations.has(name));
  const spec = create(WorkSpecSchema, {
    operations: known.map(({ jsonName }) => fromJson(OperationSchema, { [jsonName]: {} })),
    result: { case: 'output', value: { format: Format.JPEG } },
  });
  try {
    validateMessage(WorkSpecSchema, spec);
  } catch {
    // Not every operation does without parameters.
  }
}

function parseSpec(bytes: Uint8Array): WorkSpec {
  // FilterRequest is the same on the wire.
  let message: ReturnType<typeof parse>;
  try {
    message = parse(bytes);
  } catch (error) {
    throw new MeshError('INVALID_REQUEST', 'the first message is not a valid protobuf message', {
      cause: error,
    });
  }
  switch (message.case) {
    case 'spec':
      return message.value;
    case 'chunk':
      throw invalidField('chunk', 'came before the spec, which must be the first message');
    default:
      throw invalidField('message', 'the first message must carry the spec');
  }
}

function parse(bytes: Uint8Array) {
  return fromBinary(ResizeRequestSchema, bytes).message;
}

export function checkSpec(spec: WorkSpec, operations: ReadonlySet<string>, limits: ImageLimits): void {
  validateMessage(WorkSpecSchema, spec);
  checkSize(spec, limits);
  for (const [index, operation] of spec.operations.entries()) {
    const path = `operations[${index}]`;
    const name = operationName(operation, path);
    if (!operations.has(name)) throw invalidField(`${path}.${name}`, 'is not an operation of this service');
  }
  if (spec.result.case === 'output') resolveOutput(spec.result.value);
  alternativeOf(spec);
}

/** Before anything of that size is allocated. */
function checkSize({ content, sizeBytes }: WorkSpec, limits: ImageLimits): void {
  if (content.case === 'pixels') {
    const pixels = content.value;
    checkPixels(
      pixels,
      Math.max(limits.maxInputPixels, limits.maxOutputPixels),
      limits.maxSide,
      'the pixels are',
    );
    const frames = frameCount(pixels);
    if (frames > 1) checkFrames(pixels, frames, limits);
    if (pixels.iccProfile.length > maxProfileBytes) {
      throw invalidField(
        'pixels.icc_profile',
        `has ${pixels.iccProfile.length} bytes; at most ${maxProfileBytes}`,
      );
    }
    const expected = pixelBytes(pixels);
    if (sizeBytes === BigInt(expected)) return;
    throw new MeshError(
      'SIZE_MISMATCH',
      `size_bytes: ${sizeBytes}; pixels of that shape have ${expected} bytes`,
      {
        violations: [{ field: 'size_bytes', description: `must be ${expected}` }],
      },
    );
  }
  if (sizeBytes <= BigInt(limits.maxInputBytes)) return;
  throw new MeshError(
    'BODY_TOO_LARGE',
    `size_bytes: ${sizeBytes}; the limit is ${limits.maxInputBytes} bytes`,
    {
      metadata: { sizeBytes: String(sizeBytes), maxInputBytes: String(limits.maxInputBytes) },
    },
  );
}

/** What the result is to be, once checked. */
export function resultOf(spec: WorkSpec): WorkResult {
  const { result } = spec;
  switch (result.case) {
    case 'output':
      return { kind: 'encoded', output: result.value, ...alternativeOf(spec) };
    case 'pixelResult':
      return { kind: 'pixels', metadata: result.value.metadata ?? MetadataPolicy.UNSPECIFIED };
    case 'analysis':
      return { kind: 'analysis' };
    case 'faces':
      return { kind: 'faces', search: result.value };
    case undefined:
      throw invalidField('result', 'must be set');
    default:
      return result satisfies never;
  }
}

function alternativeOf({ alternativeFormat }: WorkSpec): { readonly alternative?: CodedFormat } {
  if (alternativeFormat === Format.UNSPECIFIED) return {};
  if (isCodedFormat(alternativeFormat)) return { alternative: alternativeFormat };
  throw invalidField('alternative_format', 'must be a format that is written');
}
