/**
 * Runs the stages of a plan one after the other. Between stages travel pixels, in memory up to 16 MiB, else as a
 * temporary blob; whatever is temporary is gone when the call is over, however it ends. Longer than most: running, decoding and
 * measuring are three ends of the same way.
 */
import { create } from '@bufbuild/protobuf';
import {
  type BlobRef,
  ColorPolicy,
  Destination,
  EncodedContentSchema,
  Format,
  type ImageInfo,
  MetadataPolicy,
  type PixelContent,
  PixelResultSchema,
  type StageReport,
  StageReportSchema,
  type TransformReport,
  TransformReportSchema,
  type WorkHeader,
} from '@imagemesh/api';
import type { Logger } from '@imagemesh/observe';
import { MeshError, toMeshError } from '@imagemesh/rpc';
import type { BlobStore } from '@imagemesh/store';
import type { CallContext } from './call.ts';
import { toClientError } from './inner-errors.ts';
import type { MemoryBudget } from './memory-budget.ts';
import type { Plan, Stage } from './plan.ts';
import { type StageReply, type StageRequest, type StageSource, sendStage } from './send-stage.ts';
import type { Upstream } from './upstream.ts';
import { createSendEither } from './without-store.ts';

/** The encoded image that a pipeline begins with, in memory or in the store. */
export type PipelineSource = { readonly info: ImageInfo; readonly sizeBytes: number } & (
  | { readonly bytes: Uint8Array }
  | { readonly blob: BlobRef }
);

/** Pixels that several pipelines begin with. Call `release` once, when the last of them is over. */
export interface HeldPixels {
  readonly source: StageSource;
  readonly content: PixelContent;
  readonly reports: readonly StageReport[];
  /** When the pipeline began, by performance.now(). */
  readonly beganMs: number;
  release(): Promise<void>;
}

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
  /**
   * Runs a plan on an encoded image, or on pixels that a call of `decode` holds. `isStored`: the replica saves the result
   * as an image (without a claim) instead of sending it.
   */
  run(
    call: CallContext,
    source: PipelineSource | HeldPixels,
    plan: Plan,
    options?: { isStored?: boolean },
  ): Promise<PipelineResult>;
  /** Runs stages into pixels. */
  decode(call: CallContext, source: PipelineSource, plan: PixelPlan): Promise<HeldPixels>;
  /** Runs stages of which the last one measures; what it found, without bytes. */
  measure(
    call: CallContext,
    source: PipelineSource,
    stages: readonly Stage[],
    what: Measure,
  ): Promise<Measured>;
}

/** What is measured. */
export type Measure = Extract<StageRequest['result'], { case: 'analysis' | 'faces' }>;

/** What was measured, of the same case. */
export type Measured = Extract<WorkHeader['content'], { case: 'analysis' | 'faces' }>;

export interface PixelPlan {
  readonly stages: readonly Stage[];
  /** What later stages may want. */
  readonly metadata: MetadataPolicy;
  readonly color: ColorPolicy;
}

export interface PipelineParts {
  readonly upstream: Upstream;
  readonly store: Pick<BlobStore, 'id' | 'readImage' | 'readTemporary' | 'putImage' | 'deleteTemporary'>;
  readonly budget: MemoryBudget;
  readonly log: Logger;
}

/** A replica sends at most this much of a result; more is saved as a temporary blob (Destination in worker.proto). */
const inlineBytes = 16 * 1024 * 1024;

/** Worst case of an encoder: the raw pixels, and this for metadata. */
const encodedSlackBytes = 1024 * 1024;

export function createPipelineRunner({ upstream, store, budget, log }: PipelineParts): PipelineRunner {
  const sendEither = createSendEither({ store, budget, log });

  async function runStage(call: CallContext, request: StageRequest): Promise<StageReply> {
    try {
      return await sendEither(call, request, (either) =>
        upstream.send(call, (pool, deaths) =>
          sendStage(pool, call, either, { storeId: store.id, budget, deaths }),
        ),
      );
    } catch (error) {
      throw toClientError(toMeshError(error), {
        signal: call.signal,
        missingId: (name) => missingImage(request, name),
      });
    }
  }

  async function drop(reply: StageReply | undefined): Promise<void> {
    reply?.release();
    const key = reply?.header.blob?.key;
    // What cannot be deleted now is swept later.
    if (key?.case === 'temporaryId') await store.deleteTemporary(key.value).catch(() => {});
  }

  /** Runs the stages one after the other; `request` says what each is to give. The last reply is the caller's to drop. */
  async function runStages(
    call: CallContext,
    from: PipelineSource | HeldPixels,
    stages: readonly Stage[],
    request: (stage: Stage) => Omit<StageRequest, 'stage' | 'source' | 'ageMs'>,
  ): Promise<{ readonly reply: StageReply; readonly reports: StageReport[] }> {
    const reports: StageReport[] = [];
    const heldSinceMs = 'reports' in from ? from.beganMs : undefined;
    const beganMs = heldSinceMs ?? performance.now();
    let source = firstSource(from);
    let previous: StageReply | undefined;
    for (const stage of stages) {
      const startedMs = performance.now();
      let reply: StageReply;
      try {
        const isFirst = previous === undefined && heldSinceMs === undefined;
        const ageMs = isFirst ? 0 : Math.max(1, performance.now() - beganMs);
        reply = await runStage(call, { stage, source, ageMs, ...request(stage) });
      } finally {
        await drop(previous);
      }
      previous = reply;
      reports.push(stageReport(stage, reply.header, performance.now() - startedMs));
      if (stage !== stages.at(-1)) source = await pixelSource(reply, drop);
    }
    if (previous === undefined) throw new MeshError('INTERNAL', 'a plan without stages');
    return { reply: previous, reports };
  }

  return {
    async run(call, source, plan, { isStored = false } = {}) {
      const startedMs = performance.now();
      const { color } = plan.output;
      const metadata = plan.output.metadata ?? MetadataPolicy.SAFE;
      const { reply, reports } = await runStages(call, source, plan.stages, (stage) => ({
        result: stage.isFinal ? { case: 'output', value: plan.output } : pixelResult(metadata),
        destination: destinationOf(stage, plan.output.format, isStored),
        color,
        ...(stage.isFinal && { alternative: plan.alternative }),
      }));
      const report = create(TransformReportSchema, {
        stages: 'reports' in source ? [...source.reports, ...reports] : reports,
        durationMs: round(performance.now() - startedMs),
        encoding: reply.header.encoding,
      });
      return await finish(reply, report, drop);
    },

    async decode(call, source, { stages, metadata, color }) {
      const beganMs = performance.now();
      const { reply, reports } = await runStages(call, source, stages, (stage) => ({
        result: pixelResult(metadata),
        destination: destinationOf({ ...stage, isFinal: false }, Format.UNSPECIFIED, false),
        color,
      }));
      const pixels = await pixelSource(reply, drop);
      return { source: pixels, content: pixels.content.value, reports, beganMs, release: () => drop(reply) };
    },

    async measure(call, source, stages, what) {
      const { reply } = await runStages(call, source, stages, (stage) => ({
        result: stage.isFinal ? what : pixelResult(MetadataPolicy.STRIP),
        destination: stage.isFinal ? Destination.INLINE : destinationOf(stage, Format.UNSPECIFIED, false),
        color: ColorPolicy.SRGB,
      }));
      await drop(reply);
      const { content } = reply.header;
      if (content.case !== what.case)
        throw new MeshError('INTERNAL', 'an inner service did not measure what it was asked for');
      return content;
    },
  };
}

function pixelResult(metadata: MetadataPolicy): StageRequest['result'] {
  return { case: 'pixelResult', value: create(PixelResultSchema, { metadata }) };
}

function firstSource(source: PipelineSource | HeldPixels): StageSource {
  if ('reports' in source) return source.source;
  return {
    content: { case: 'encoded', value: create(EncodedContentSchema, { format: source.info.format }) },
    sizeBytes: source.sizeBytes,
    ...('bytes' in source ? { bytes: source.bytes } : { blob: source.blob }),
  };
}

async function pixelSource(
  reply: StageReply,
  drop: (reply: StageReply) => Promise<void>,
): Promise<StageSource & { readonly content: { readonly case: 'pixels'; readonly value: PixelContent } }> {
  const { header, bytes } = reply;
  if (header.content.case !== 'pixels') {
    await drop(reply);
    throw new MeshError('INTERNAL', 'an inner service sent an encoded image where pixels were asked for');
  }
  return { content: header.content, sizeBytes: Number(header.sizeBytes), bytes, blob: header.blob };
}

async function finish(
  reply: StageReply,
  report: TransformReport,
  drop: (reply: StageReply) => Promise<void>,
): Promise<PipelineResult> {
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

/** The image of the caller's whose bytes the stage did not find: a watermark of that name, else its source. */
function missingImage(
  { source: { blob }, stage }: StageRequest,
  name: string | undefined,
): string | undefined {
  const overlays = stage.operations.map(({ operation }) =>
    operation.case === 'watermark' ? operation.value.imageId : undefined,
  );
  const overlay = overlays.find((id) => id !== undefined && id === name);
  return overlay ?? (blob?.key.case === 'imageId' ? blob.key.value : undefined);
}

function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
