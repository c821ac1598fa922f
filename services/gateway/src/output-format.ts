/** Which format a result has, by the rules that stand at Output in operation.proto. */
import { clone, create } from '@bufbuild/protobuf';
import { ColorPolicy, Format, type Operation, type Output, OutputSchema } from '@imagemesh/api';
import {
  type CodedFormat,
  checkFormatSize,
  resolveOutput as checkOutput,
  formatNames,
  holdsSize,
  isCodedFormat,
  type Size,
} from '@imagemesh/image';
import { invalidField, MeshError } from '@imagemesh/rpc';

/** What the choice depends on. */
export interface SourceFormat {
  readonly format: Format;
  readonly hasAlpha: boolean;
  /** Frames of the result. */
  readonly frames: number;
  /** Size of the result; behind a trim or a crop_to_faces the largest that it can be. */
  readonly resultSize: Size;
}

/** An output whose format and colours are settled. */
export type ResolvedOutput = Output & { format: CodedFormat; color: ColorPolicy };

/** The format, and one to be tried beside it. */
interface Choice {
  readonly format: Format;
  readonly alternative?: CodedFormat;
}

const defaultAccept: readonly Format[] = [Format.JPEG, Format.PNG];
const defaultAnimatedAccept: readonly Format[] = [Format.WEBP, Format.GIF];

/**
 * The output with its format resolved: unset is the source's, FORMAT_AUTO is picked from `accept`. The alternative is the
 * source's own format where FORMAT_AUTO picked another: the smaller result wins. Refuses a format that cannot be written, or
 * not with several frames, and what the format does not know. `path` is the field's, for errors.
 */
export function resolveOutput(
  source: SourceFormat,
  operations: readonly Operation[],
  output: Output | undefined,
  path = 'output',
): { readonly output: ResolvedOutput; readonly alternative: CodedFormat | undefined } {
  const resolved = output === undefined ? create(OutputSchema) : clone(OutputSchema, output);
  const { format, alternative } = chooseFormat(source, operations, resolved, path);
  if (!isCodedFormat(format))
    throw invalidField(`${path}.format`, 'is not a format that this version writes');
  if (source.frames > 1 && !formatNames(format).canAnimate) throw stillFormat(format, path);
  checkFormatSize(source.resultSize, format, path);
  // GIF has no profiles, and animations are sRGB.
  const keepsColors =
    resolved.color === ColorPolicy.KEEP && source.frames === 1 && canKeepProfile(format, alternative);
  const color = keepsColors ? ColorPolicy.KEEP : ColorPolicy.SRGB;
  const settled = Object.assign(resolved, { format, color, accept: [] });
  checkOutput(settled, path);
  return { output: settled, alternative };
}

function canKeepProfile(...formats: readonly (CodedFormat | undefined)[]): boolean {
  return !formats.includes(Format.GIF);
}

function chooseFormat(
  source: SourceFormat,
  operations: readonly Operation[],
  output: Output,
  path: string,
): Choice {
  if (output.format === Format.UNSPECIFIED) return { format: source.format };
  if (output.format !== Format.AUTO) return { format: output.format };
  const isAnimated = source.frames > 1;
  const fallback = isAnimated ? defaultAnimatedAccept : defaultAccept;
  const accept = output.accept.length === 0 ? fallback : output.accept;
  const accepted = preferred(isAnimated, source, operations).filter((format) => accept.includes(format));
  const format = accepted.find((format) => holdsSize(format, source.resultSize)) ?? accepted[0];
  if (format === undefined) {
    const names = isAnimated
      ? 'FORMAT_WEBP and FORMAT_GIF, which hold animations'
      : 'FORMAT_AVIF, FORMAT_WEBP, FORMAT_PNG, FORMAT_JPEG';
    throw invalidField(`${path}.accept`, `has none of ${names}`);
  }
  const own = source.format;
  if (own === format || !accept.includes(own) || !isCodedFormat(own)) return { format };
  return showsTheSame(own, source, operations, output) ? { format, alternative: own } : { format };
}

/** Whether a result in the source's own format would be the same picture. */
function showsTheSame(
  own: CodedFormat,
  source: SourceFormat,
  operations: readonly Operation[],
  { lossless = false }: Output,
): boolean {
  if (!holdsSize(own, source.resultSize)) return false;
  if (source.frames > 1) return !lossless && formatNames(own).canAnimate;
  if (!formatNames(own).hasAlpha && resultHasAlpha(source, operations)) return false;
  return !lossless || own === Format.PNG || own === Format.TIFF;
}

function preferred(
  isAnimated: boolean,
  source: SourceFormat,
  operations: readonly Operation[],
): readonly CodedFormat[] {
  if (isAnimated) return [Format.WEBP, Format.GIF];
  const isLossless =
    source.format === Format.PNG || source.format === Format.GIF || source.format === Format.TIFF;
  const isBestAsPng = isLossless || resultHasAlpha(source, operations);
  const still = isBestAsPng ? [Format.PNG, Format.JPEG] : [Format.JPEG, Format.PNG];
  return [Format.AVIF, Format.WEBP, ...still] as const;
}

function resultHasAlpha(
  { hasAlpha: sourceHasAlpha }: SourceFormat,
  operations: readonly Operation[],
): boolean {
  let hasAlpha = sourceHasAlpha;
  for (const { operation } of operations) {
    switch (operation.case) {
      case 'edges':
      case 'flatten':
        hasAlpha = false;
        break;
      case 'rotate':
      case 'extend':
      case 'resize':
        hasAlpha ||= isTranslucent(operation.value.background);
        break;
      case 'roundCorners':
        hasAlpha ||= operation.value.background === undefined || isTranslucent(operation.value.background);
        break;
      default:
    }
  }
  return hasAlpha;
}

/** Whether #RRGGBBAA has an AA below FF. */
function isTranslucent(color: string | undefined): boolean {
  return color?.length === 9 && !/ff$/i.test(color);
}

function stillFormat(format: CodedFormat, path: string): MeshError {
  const description = `${formatNames(format).name} holds no animation; choose FORMAT_WEBP or FORMAT_GIF, or select_frame first`;
  return new MeshError('ANIMATION_REFUSED', `${path}.format: ${description}`, {
    violations: [{ field: `${path}.format`, description }],
  });
}
