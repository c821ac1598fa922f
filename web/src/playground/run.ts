/** Runs the pipeline whenever it or the source changes. What is superseded is cancelled, down to the replica. */
import type { Operation, Output } from '@imagemesh/api';
import { effect, type ReadonlySignal, signal, untracked } from '@preact/signals';
import type { Clients } from '../mesh/clients.ts';
import { type Failure, toFailure } from '../mesh/failure.ts';
import { formatNames } from '../mesh/names.ts';
import { type Pipeline, toOperations, toOutput } from './pipeline.ts';
import { type SourceStore, toPicture } from './source.ts';
import { type Transformed, transform } from './transform-call.ts';

export interface Result extends Transformed {
  readonly blob: Blob;
  /** Undefined where this browser cannot show the format. */
  readonly picture: ImageBitmap | undefined;
  /** What it was made of. */
  readonly sourceBytes: Uint8Array;
  /** What made it. */
  readonly pipeline: Pipeline;
  readonly operations: readonly Operation[];
  readonly output: Output;
}

export interface RunState {
  readonly isRunning: boolean;
  /** The last result; what a failed or running call would replace. */
  readonly result: Result | undefined;
  /** Why the last call failed. */
  readonly failure: Failure | undefined;
  /** Calls given up because the pipeline changed while they ran. */
  readonly superseded: number;
}

export interface Runner {
  readonly state: ReadonlySignal<RunState>;
  again(): void;
  stop(): void;
}

export interface RunnerOptions {
  readonly clients: Clients;
  readonly source: SourceStore;
  readonly pipeline: ReadonlySignal<Pipeline | undefined>;
  /** Holds calls back, while the source is being stored. */
  readonly isHeld: ReadonlySignal<boolean>;
  /** How long changes are gathered. Default 120 ms. */
  readonly settleMs?: number;
}

export function createRunner(options: RunnerOptions): Runner {
  const { clients, source, pipeline, isHeld, settleMs = 120 } = options;
  const state = signal<RunState>({ isRunning: false, result: undefined, failure: undefined, superseded: 0 });
  const turn = signal(0);
  let done: { readonly bytes: Uint8Array; readonly key: string } | undefined;

  const stop = effect(() => {
    const now = source.state.value;
    const wanted = pipeline.value;
    void turn.value;
    if (now.kind !== 'ready' || wanted === undefined || isHeld.value) return;
    const { source: image } = now;
    // A source that has only been given an id, or a step that is off, changes nothing.
    const key = JSON.stringify([effective(wanted), turn.value]);
    if (done?.bytes === image.bytes && done.key === key) return;
    const superseding = new AbortController();
    let isOver = false;
    const timer = setTimeout(async () => {
      untracked(() => {
        state.value = { ...state.value, isRunning: true };
      });
      try {
        const work = { operations: toOperations(wanted), output: toOutput(wanted) };
        const made = await transform(clients, { source: image, ...work }, superseding.signal);
        const blob = new Blob([made.bytes], { type: formatNames(made.info.format).mime });
        const picture = await toPicture(blob);
        if (superseding.signal.aborted) return picture?.close();
        done = { bytes: image.bytes, key };
        state.value.result?.picture?.close();
        state.value = {
          ...state.value,
          isRunning: false,
          result: { ...made, blob, picture, sourceBytes: image.bytes, pipeline: wanted, ...work },
          failure: undefined,
        };
      } catch (error) {
        if (superseding.signal.aborted) return;
        state.value = { ...state.value, isRunning: false, failure: toFailure(error) };
      } finally {
        isOver = true;
      }
    }, settleMs);
    return () => {
      clearTimeout(timer);
      superseding.abort();
      untracked(() => {
        const { isRunning, superseded } = state.value;
        if (isRunning && !isOver)
          state.value = { ...state.value, isRunning: false, superseded: superseded + 1 };
      });
    };
  });

  return {
    state,
    again() {
      turn.value++;
    },
    stop,
  };
}

function effective({ steps, output }: Pipeline): unknown {
  return [steps.filter(({ isOn }) => isOn).map(({ name, values }) => [name, values]), output];
}
