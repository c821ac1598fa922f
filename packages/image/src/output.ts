/** Output with its defaults filled in and its rules checked. */
import { Format, MetadataPolicy, type Output } from '@imagemesh/api';
import { invalidField } from '@imagemesh/rpc';
import { type CodedFormat, formatNames, isCodedFormat } from './formats.ts';

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
}

const defaultQuality = 80;
const defaultAvifQuality = 50;
const defaultEffort = 4;

/** Throws INVALID_REQUEST where the format is not one that is written, or is to be lossless and cannot. */
export function resolveOutput(output: Output, path = 'output'): ResolvedOutput {
  const { format } = output;
  if (!isCodedFormat(format)) throw invalidField(`${path}.format`, 'must be JPEG, PNG, WebP or AVIF');
  const isLossless = output.lossless ?? false;
  if (isLossless && format === Format.JPEG) {
    throw invalidField(
      `${path}.lossless`,
      `${formatNames(format).name} is always lossy; choose WebP, AVIF or PNG`,
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
  };
}

/** The policy that an unset field stands for. */
export function policyOf(policy: MetadataPolicy | undefined): MetadataPolicy {
  return policy === undefined || policy === MetadataPolicy.UNSPECIFIED ? MetadataPolicy.SAFE : policy;
}
