/** The variants of a job: checked when it is created, run one by one with the result saved by the replica. */
import { create } from '@bufbuild/protobuf';
import { type Image, type ImageInfo, ImageSchema, type Variant } from '@imagemesh/api';
import type { ImageLimits } from '@imagemesh/image';
import { invalidField, MeshError } from '@imagemesh/rpc';
import type { CallContext } from './call.ts';
import type { Caller } from './identity/caller.ts';
import { planPipeline } from './plan.ts';
import type { PipelineRunner } from './run-pipeline.ts';
import { pixelsOf, type Sources } from './source.ts';
import { checkWatermarks } from './watermarks.ts';

export interface Variants {
  /** Throws what a variant breaks, by its path: "variants[0].operations[1]". */
  checkVariants(
    call: { readonly owner: string; readonly caller?: Caller },
    info: ImageInfo,
    variants: readonly Variant[],
  ): Promise<void>;
  /** The stored result, not yet claimed. */
  runVariant(call: CallContext, source: Image, variant: Variant): Promise<Image>;
}

export interface VariantParts {
  readonly sources: Sources;
  readonly runner: PipelineRunner;
  readonly limits: ImageLimits;
}

export function createVariants({ sources, runner, limits }: VariantParts): Variants {
  return {
    async checkVariants(call, info, variants) {
      checkVariantCount(variants, limits);
      call.caller?.usage.image({ pixels: pixelsOf(info) });
      for (const [at, { operations, output }] of variants.entries()) {
        const path = `variants[${at}]`;
        planPipeline({ info, operations, output, limits, path: `${path}.` });
        await checkWatermarks(sources, call, operations, `${path}.operations`);
      }
    },

    // Claims were checked when the job was made; what it needs stays until it ends, whoever drops a claim.
    async runVariant(call, image, { operations, output }) {
      const source = sources.stored(image);
      const plan = planPipeline({ info: source.info, operations, output, limits });
      const result = await runner.run(call, source, plan, { isStored: true });
      try {
        if (result.held.kind !== 'image')
          throw new MeshError('INTERNAL', 'a replica did not save the result of a job');
        return create(ImageSchema, { id: result.held.id, info: result.info });
      } finally {
        await result.release();
      }
    },
  };
}

/** INVALID_REQUEST for more variants than are made in one call. */
export function checkVariantCount(variants: readonly Variant[], { maxVariants }: ImageLimits): void {
  if (variants.length <= maxVariants) return;
  throw invalidField('variants', `${variants.length} variants; at most ${maxVariants} are made in one call`);
}
