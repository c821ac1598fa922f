/** Output with its defaults filled in and its rules checked. */
import { ChromaSubsampling, Format, MetadataPolicy, type Output } from '@imagemesh/api';
import { invalidField } from '@imagemesh/rpc';
import { type CodedFormat, formatList, formatNames, isCodedFormat } from './formats.ts';

export interface ResolvedOutput {
  readonly format: CodedFormat;
  /** 1 to 100. */
  readonly quality: number;
  /** 0 to 9. */
  readonly effort: number;
  readonly isLossless: boolean;
  readonly isProgressive: boolean;
  readonly metadata: MetadataPolicy;
  /** #RRGGBB. */
  readonly background: string;
  /** Whether colours have half of the resolution. */
  readonly isSubsampled: boolean;
  /** The most bytes that the result may have; its quality is searched. */
  readonly targetBytes: number | undefined;
}

const defaultQuality = 80;
const defaultAvifQuality = 50;
const defaultEffort = 4;

/** Throws INVALID_REQUEST where the format is not one that is written, or cannot do what is wanted of it. */
export function resolveOutput(output: Output, path = 'output'): ResolvedOutput {
  const { format } = output;
  if (!isCodedFormat(format)) throw invalidField(`${path}.format`, `must be one of ${formatList()}`);
  const { name, hasQuality } = formatNames(format);
  const isLossless = output.lossless ?? false;
  if (isLossless && format !== Format.WEBP && format !== Format.AVIF) {
    throw invalidField(`${path}.lossless`, `${name} has no such choice; WebP and AVIF have`);
  }
  if (output.targetBytes !== undefined && (!hasQuality || isLossless)) {
    const what = isLossless ? `a lossless ${name}` : name;
    throw invalidField(
      `${path}.target_bytes`,
      `${what} has no quality to search; JPEG and lossy WebP and AVIF have`,
    );
  }
  return {
    format,
    quality: output.quality ?? (format === Format.AVIF ? defaultAvifQuality : defaultQuality),
    effort: output.effort ?? defaultEffort,
    isLossless,
    isProgressive: output.progressive ?? false,
    metadata: policyOf(output.metadata),
    background: output.background ?? '#FFFFFF',
    isSubsampled:
      format === Format.AVIF
        ? output.chromaSubsampling === ChromaSubsampling.CHROMA_SUBSAMPLING_420
        : output.chromaSubsampling !== ChromaSubsampling.CHROMA_SUBSAMPLING_444,
    targetBytes: output.targetBytes === undefined ? undefined : Number(output.targetBytes),
  };
}

/** The policy that an unset field stands for. */
export function policyOf(policy: MetadataPolicy | undefined): MetadataPolicy {
  return policy === undefined || policy === MetadataPolicy.UNSPECIFIED ? MetadataPolicy.SAFE : policy;
}
