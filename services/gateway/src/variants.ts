/** The variants of a job: checked when it is created, run one by one with the result saved by the replica. */
import { create } from '@bufbuild/protobuf';
import { type Image, type ImageInfo, ImageSchema, type Variant } from '@imagemesh/api';
import type { ImageLimits } from '@imagemesh/image';
import { MeshError } from '@imagemesh/rpc';
import type { CallContext } from './call.ts';
import { planPipeline } from './plan.ts';
import type { PipelineRunner } from './run-pipeline.ts';
import type { Sources } from './source.ts';
import { checkWatermarks } from './watermarks.ts';

export interface Variants {
  /** Throws what a variant breaks; `field` is its path, "variants[0]". */
  checkVariant(
    call: { readonly owner: string },
    info: ImageInfo,
    variant: Variant,
    field: string,
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
    async checkVariant(call, info, { operations, output }, field) {
      planPipeline({ info, operations, output, limits, path: `${field}.` });
      await checkWatermarks(sources, call, operations, `${field}.operations`);
    },

    async runVariant(call, { id }, { operations, output }) {
      const source = await sources.find(call, id);
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
