/**
 * Runs the stages of a plan one after the other. Between stages travel pixels, in memory up to 16 MiB, else as a
 * temporary blob; whatever is temporary is gone when the call is over, however it ends.
 */
import { create } from '@bufbuild/protobuf';
import {
  type BlobRef,
  BlobRefSchema,
  ColorPolicy,
  Destination,
  EncodedContentSchema,
  Format,
  type ImageInfo,
  MetadataPolicy,
  PixelResultSchema,
  StageReportSchema,
  type TransformReport,
  TransformReportSchema,
  type WorkHeader,
} from '@imagemesh/api';
import { MeshError, toMeshError } from '@imagemesh/rpc';
import type { BlobStore } from '@imagemesh/store';
import type { CallContext } from './call.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { Plan, Stage } from './plan.ts';
import { type StageReply, type StageRequest, type StageSource, sendStage } from './send-stage.ts';
import type { Upstream } from './upstream.ts';

/** The encoded image that a pipeline begins with, in memory or in the store. */
export type PipelineSource = { readonly info: ImageInfo; readonly sizeBytes: number } & (
  | { readonly bytes: Uint8Array }
  | { readonly blob: BlobRef }
);

/** A result held whole. Call `release` once, in `finally`. */
export interface PipelineResult {
  readonly info: ImageInfo;
  readonly sizeBytes: number;
  readonly held:
    | { readonly kind: 'memory'; readonly bytes: Uint8Array }
    | { readonly kind: 'temporary'; readonly id: string }
    | { readonly kind: 'image'; readonly id: string };
  readonly report: TransformReport;
  release(): Promise<void>;
}

export interface PipelineRunner {
  /** `isStored`: the replica saves the result as an image (without a claim) instead of sending it. */
  run(
    call: CallContext,
    source: PipelineSource,
    plan: Plan,
    options?: { isStored?: boolean },
  ): Promise<PipelineResult>;
}

export interface PipelineParts {
  readonly upstream: Upstream;
  readonly store: Pick<BlobStore, 'id' | 'deleteTemporary'>;
  readonly budget: MemoryBudget;
}

/** A replica sends at most this much of a result; more is saved as a temporary blob (Destination in worker.proto). */
const inlineBytes = 16 * 1024 * 1024;

/** Worst case of an encoder: the raw pixels, and this for metadata. */
const encodedSlackBytes = 1024 * 1024;

export function createPipelineRunner({ upstream, store, budget }: PipelineParts): PipelineRunner {
  async function runStage(call: CallContext, request: StageRequest): Promise<StageReply> {
    try {
      return await upstream.send(call, (pool) =>
        sendStage(pool, call, request, { storeId: store.id, budget }),
      );
    } catch (error) {
      throw sourceGone(toMeshError(error), request.source);
    }
  }

  async function drop(reply: StageReply | undefined): Promise<void> {
    reply?.release();
    const key = reply?.header.blob?.key;
    // What cannot be deleted now is swept later.
    if (key?.case === 'temporaryId') await store.deleteTemporary(key.value).catch(() => {});
  }

  return {
    async run(call, source, plan, { isStored = false } = {}) {
      const startedMs = performance.now();
      const report = create(TransformReportSchema);
      let stageSource = firstSource(source);
      let previous: StageReply | undefined;
      for (const stage of plan.stages) {
        const stageStartedMs = performance.now();
        let reply: StageReply;
        try {
          reply = await runStage(call, {
            stage,
            source: stageSource,
            result: stage.isFinal
              ? { case: 'output', value: plan.output }
              : {
                  case: 'pixelResult',
                  value: create(PixelResultSchema, { metadata: plan.output.metadata ?? MetadataPolicy.SAFE }),
                },
            destination: destinationOf(stage, plan.output.format, isStored),
            color: plan.output.color ?? ColorPolicy.SRGB,
            ...(stage.isFinal && { alternative: plan.alternative }),
          });
        } finally {
          await drop(previous);
        }
        previous = reply;
        report.stages.push(stageReport(stage, reply.header, performance.now() - stageStartedMs));
        if (!stage.isFinal) stageSource = await nextSource(reply, drop);
      }
      report.encoding = previous?.header.encoding;
      report.durationMs = round(performance.now() - startedMs);
      return await finish(previous, report, drop);
    },
  };
}

function firstSource(source: PipelineSource): StageSource {
  return {
    content: { case: 'encoded', value: create(EncodedContentSchema, { format: source.info.format }) },
    sizeBytes: source.sizeBytes,
    ...('bytes' in source ? { bytes: source.bytes } : { blob: source.blob }),
  };
}

async function nextSource(
  reply: StageReply,
  drop: (reply: StageReply) => Promise<void>,
): Promise<StageSource> {
  const { header, bytes } = reply;
  if (header.content.case !== 'pixels') {
    await drop(reply);
    throw new MeshError('INTERNAL', 'an inner service sent an encoded image where pixels were asked for');
  }
  return { content: header.content, sizeBytes: Number(header.sizeBytes), bytes, blob: header.blob };
}

async function finish(
  reply: StageReply | undefined,
  report: TransformReport,
  drop: (reply: StageReply) => Promise<void>,
): Promise<PipelineResult> {
  if (reply === undefined) throw new MeshError('INTERNAL', 'a plan without stages');
  const { header, bytes } = reply;
  const key = header.blob?.key;
  const held =
    bytes !== undefined
      ? ({ kind: 'memory', bytes } as const)
      : key?.case === 'imageId'
        ? ({ kind: 'image', id: key.value } as const)
        : key?.case === 'temporaryId'
          ? ({ kind: 'temporary', id: key.value } as const)
          : undefined;
  if (header.content.case !== 'encoded' || held === undefined) {
    await drop(reply);
    throw new MeshError('INTERNAL', 'an inner service sent something else than the encoded image asked for');
  }
  return {
    info: header.content.value,
    sizeBytes: Number(header.sizeBytes),
    held,
    report,
    release: () => drop(reply),
  };
}

/**
 * A result that surely fits inline needs no store, so that any replica can do it; where it may not, the replica must
 * share the store.
 */
function destinationOf(
  { isFinal, resultSize, frames }: Stage,
  format: Format,
  isStored: boolean,
): Destination {
  if (isFinal && isStored) return Destination.IMAGE;
  // RGBA; with 16 bits a sample where pixels travel, and in PNG and TIFF.
  const isDeep = !isFinal || format === Format.PNG || format === Format.TIFF;
  const worstBytes = resultSize.width * resultSize.height * (isDeep ? 8 : 4) * frames + encodedSlackBytes;
  return worstBytes <= inlineBytes ? Destination.INLINE : Destination.TEMPORARY;
}

function stageReport({ worker, names }: Stage, header: WorkHeader, totalMs: number) {
  return create(StageReportSchema, {
    worker,
    replicaId: header.replicaId,
    operations: [...names],
    execMs: round(header.execMs),
    queueMs: round(header.queueMs),
    totalMs: round(totalMs),
  });
}

/** The caller knows images, not blobs. */
function sourceGone(error: MeshError, { blob }: StageSource): MeshError {
  if (error.reason !== 'BLOB_NOT_FOUND' || blob?.key.case !== 'imageId') return error;
  const name = blob.key.value;
  return new MeshError('IMAGE_NOT_FOUND', `image ${name} is not in the store`, {
    resource: { type: 'image', name },
    cause: error,
  });
}

/** A reference to a stored image. */
export function imageRef(imageId: string): BlobRef {
  return create(BlobRefSchema, { key: { case: 'imageId', value: imageId } });
}

/** A reference to a temporary blob. */
export function temporaryRef(temporaryId: string): BlobRef {
  return create(BlobRefSchema, { key: { case: 'temporaryId', value: temporaryId } });
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
