/** Requests against the rules in the proto files (https://protovalidate.com). */
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { pathToString } from '@bufbuild/protobuf/reflect';
import { createValidator, type Validator, type Violation } from '@bufbuild/protovalidate';
import { type FieldViolation, MeshError } from './errors.ts';

/** Violations that one error lists. */
const maxViolations = 16;

/** Built on first use and kept: it compiles the rules of each message type once. */
let validator: Validator | undefined;

/**
 * Throws INVALID_REQUEST that names each field that breaks a rule, as "operations[0].resize.width"; a rule about a
 * whole message names the message. `pathPrefix` goes in front, for a message that is part of the request.
 */
export function validateMessage<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  pathPrefix = '',
): void {
  validator ??= createValidator();
  const result = validator.validate(schema, message);
  if (result.kind === 'valid') return;
  if (result.kind === 'error') {
    throw new MeshError('INTERNAL', 'something went wrong inside', { cause: result.error });
  }
  const violations = result.violations
    .slice(0, maxViolations)
    .map((violation) => toFieldViolation(schema, violation, pathPrefix));
  const [first] = violations;
  const more = result.violations.length - 1;
  throw new MeshError(
    'INVALID_REQUEST',
    `${first?.field}: ${first?.description}${more > 0 ? ` (and ${more} more)` : ''}`,
    { violations },
  );
}

function toFieldViolation(schema: DescMessage, violation: Violation, prefix: string): FieldViolation {
  const path = pathToString(violation.field);
  const joined = path === '' ? prefix : prefix === '' ? path : `${prefix}.${path}`;
  return {
    field: joined === '' ? schema.name : joined,
    description: violation.message.replace(/^value /, '') || `breaks the rule ${violation.ruleId}`,
  };
}
