/** Two sayings of how a result is encoded as one. */
import { clone, create } from '@bufbuild/protobuf';
import { Format, type Output, OutputSchema } from '@imagemesh/api';

/** The first with what the second says over it. */
export function mergeOutput(base: Output | undefined, over: Output | undefined): Output {
  const merged = base === undefined ? create(OutputSchema) : clone(OutputSchema, base);
  if (over === undefined) return merged;
  for (const [name, value] of Object.entries(over)) {
    const isGiven =
      value !== undefined && value !== Format.UNSPECIFIED && !(Array.isArray(value) && value.length === 0);
    if (isGiven) Object.assign(merged, { [name]: value });
  }
  return merged;
}
