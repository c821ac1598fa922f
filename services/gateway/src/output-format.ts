/** Which format a result has, by the rules that stand at Output in operation.proto. */
import { clone, create, enumToJson } from '@bufbuild/protobuf';
import { Format, FormatSchema, type Operation, type Output, OutputSchema } from '@imagemesh/api';
import { type CodedFormat, formatNames, isCodedFormat } from '@imagemesh/image';
import { invalidField, MeshError } from '@imagemesh/rpc';

/** What the choice depends on. */
export interface SourceFormat {
  readonly format: Format;
  readonly hasAlpha: boolean;
}

/** An output whose format is settled. */
export type ResolvedOutput = Output & { format: CodedFormat };

const defaultAccept: readonly Format[] = [Format.JPEG, Format.PNG];

/**
 * The output with its format resolved: unset is the source's, FORMAT_AUTO is picked from `accept`. Refuses a format
 * that cannot be written and a choice that the format does not know. `path` is the field's, for errors.
 */
export function resolveOutput(
  source: SourceFormat,
  operations: readonly Operation[],
  output: Output | undefined,
  path = 'output',
): ResolvedOutput {
  const resolved = output === undefined ? create(OutputSchema) : clone(OutputSchema, output);
  const format = chooseFormat(source, operations, resolved, path);
  if (!isCodedFormat(format)) throw notWritten(format, path);
  const hasLossless = format === Format.WEBP || format === Format.AVIF;
  if (resolved.lossless === true && !hasLossless) {
    throw invalidField(
      `${path}.lossless`,
      `${formatNames(format).name} has no such choice; WebP and AVIF have`,
    );
  }
  resolved.accept = [];
  return Object.assign(resolved, { format });
}

function chooseFormat(
  source: SourceFormat,
  operations: readonly Operation[],
  output: Output,
  path: string,
): Format {
  if (output.format === Format.UNSPECIFIED) return source.format;
  if (output.format !== Format.AUTO) return output.format;
  const accept = output.accept.length === 0 ? defaultAccept : output.accept;
  const isBestAsPng = source.format === Format.PNG || resultHasAlpha(source.hasAlpha, operations);
  const still = isBestAsPng ? [Format.PNG, Format.JPEG] : [Format.JPEG, Format.PNG];
  const choice = [Format.AVIF, Format.WEBP, ...still].find((format) => accept.includes(format));
  if (choice === undefined) {
    throw invalidField(`${path}.accept`, 'has none of FORMAT_AVIF, FORMAT_WEBP, FORMAT_PNG, FORMAT_JPEG');
  }
  return choice;
}

function resultHasAlpha(sourceHasAlpha: boolean, operations: readonly Operation[]): boolean {
  let hasAlpha = sourceHasAlpha;
  for (const { operation } of operations) {
    if (operation.case === 'edges') hasAlpha = false;
    if (operation.case === 'rotate' && isTranslucent(operation.value.background)) hasAlpha = true;
  }
  return hasAlpha;
}

/** Whether #RRGGBBAA has an AA below FF. */
function isTranslucent(color: string | undefined): boolean {
  return color?.length === 9 && !/ff$/i.test(color);
}

function notWritten(format: Format, path: string): MeshError {
  const description = `${enumToJson(FormatSchema, format)} is not written yet`;
  return new MeshError('UNSUPPORTED_FORMAT', `${path}.format: ${description}`, {
    violations: [{ field: `${path}.format`, description }],
  });
}
