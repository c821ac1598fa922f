/** What the playground works with: source, pipeline, runner, and the address that carries the pipeline. */
import { computed, effect, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import type { ApiKey } from '../mesh/api-key.ts';
import type { Clients } from '../mesh/clients.ts';
import { createUpload, type Upload } from '../mesh/upload.ts';
import type { Router } from '../shell/route.ts';
import type { Catalogue } from './catalogue.ts';
import { EMPTY_PIPELINE, MAX_STEPS, type Pipeline, type Step, startValues, type Values } from './pipeline.ts';
import { decodePipeline, encodePipeline } from './pipeline-url.ts';
import { createRunner, type Runner } from './run.ts';
import { createSource, type Source, type SourceStore } from './source.ts';

/** Sources from here on are stored first, resumably; smaller ones travel in the call. */
const inlineBytesMax = 1024 * 1024;

export interface PlaygroundState {
  readonly catalogue: Catalogue;
  readonly source: SourceStore;
  readonly upload: ReadonlySignal<Upload | undefined>;
  readonly runner: Runner;
  /** Undefined until the catalogue is there. */
  readonly pipeline: ReadonlySignal<Pipeline | undefined>;
  /** The query that reproduces the pipeline. */
  readonly query: ReadonlySignal<string>;
  /** Whether calls carry a key. */
  readonly hasKey: ReadonlySignal<boolean>;
  addStep(name: string): void;
  changeStep(id: number, change: Partial<Pick<Step, 'isOn' | 'values'>>): void;
  removeStep(id: number): void;
  /** Moves a step so that it is the at-th. */
  moveStep(id: number, at: number): void;
  setOutput(output: Values): void;
  clear(): void;
  open(file: Blob, name: string): Promise<void>;
  /** Stores the source, whatever its size, so that it has an id. */
  keepSource(): Promise<void>;
}

export function createPlayground(parts: {
  clients: Clients;
  catalogue: Catalogue;
  router: Router;
  apiKey: ApiKey;
}): PlaygroundState {
  const { clients, catalogue, router, apiKey } = parts;
  const source = createSource();
  const pipeline = signal<Pipeline | undefined>(undefined);
  const upload = signal<Upload | undefined>(undefined);
  const isHeld = signal(false);
  const query = computed(() => encodePipeline(pipeline.value ?? EMPTY_PIPELINE));
  let nextId = MAX_STEPS;

  readAddress({ router, catalogue, pipeline, query });
  const runner = createRunner({ clients, source, pipeline, isHeld });

  function change(make: (steps: readonly Step[]) => readonly Step[]): void {
    const now = pipeline.value;
    if (now !== undefined) write({ ...now, steps: make(now.steps) });
  }

  function write(next: Pipeline): void {
    pipeline.value = next;
    router.replace({ view: 'playground', query: encodePipeline(next) });
  }

  function store(image: Source): void {
    upload.value?.cancel();
    upload.value = undefined;
    isHeld.value = false;
    if (image.bytes.length <= inlineBytesMax) return;
    const started = createUpload(clients, image.bytes, image.name);
    upload.value = started;
    isHeld.value = true;
    started.image.then(
      ({ id }) => {
        source.stored(image, id);
        if (upload.value === started) isHeld.value = false;
      },
      // The call carries the bytes instead, and says itself what is wrong with them.
      () => {
        if (upload.value === started) isHeld.value = false;
      },
    );
  }

  return {
    catalogue,
    source,
    upload,
    runner,
    pipeline,
    query,
    hasKey: computed(() => apiKey.current.value !== ''),
    addStep(name) {
      const { value: known } = catalogue.state;
      const operation = known.kind === 'ready' ? known.operations.get(name) : undefined;
      if (operation === undefined) return;
      change((steps) =>
        steps.length >= MAX_STEPS
          ? steps
          : [...steps, { id: nextId++, name, isOn: true, values: startValues(operation, sizeOf(source)) }],
      );
    },
    changeStep: (id, changed) =>
      change((steps) => steps.map((step) => (step.id === id ? { ...step, ...changed } : step))),
    removeStep: (id) => change((steps) => steps.filter((step) => step.id !== id)),
    moveStep: (id, at) =>
      change((steps) => {
        const moved = steps.filter((step) => step.id === id);
        const others = steps.filter((step) => step.id !== id);
        return [...others.slice(0, at), ...moved, ...others.slice(at)];
      }),
    setOutput(output) {
      if (pipeline.value !== undefined) write({ ...pipeline.value, output });
    },
    clear: () => write(EMPTY_PIPELINE),
    async open(file, name) {
      await source.load(file, name);
      const { value: loaded } = source.state;
      if (loaded.kind === 'ready') store(loaded.source);
    },
    async keepSource() {
      const { value: loaded } = source.state;
      if (loaded.kind !== 'ready' || loaded.source.imageId !== undefined) return;
      const { source: image } = loaded;
      const started = createUpload(clients, image.bytes, image.name);
      upload.value = started;
      const { id } = await started.image;
      source.stored(image, id);
    },
  };
}

/** The address is read once the catalogue is there, and when somebody follows another link. */
function readAddress(parts: {
  router: Router;
  catalogue: Catalogue;
  pipeline: Signal<Pipeline | undefined>;
  query: ReadonlySignal<string>;
}): void {
  const { router, catalogue, pipeline, query } = parts;
  effect(() => {
    const { view, query: asked } = router.place.value;
    const known = catalogue.state.value;
    if (known.kind !== 'ready') return;
    const now = pipeline.peek();
    if (now === undefined || (view === 'playground' && asked !== query.peek())) {
      pipeline.value = view === 'playground' ? decodePipeline(asked, known) : EMPTY_PIPELINE;
    }
  });
}

function sizeOf({ state }: SourceStore): { width: number; height: number } {
  const { value } = state;
  const picture = value.kind === 'ready' ? value.source.picture : undefined;
  return picture ?? { width: 640, height: 480 };
}
