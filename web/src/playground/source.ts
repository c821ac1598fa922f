/** The image that the playground works on: taken from a file, the clipboard or the bundled sample. */
import { type ReadonlySignal, signal } from '@preact/signals';

export interface Source {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type: string;
  /** What this browser shows of it; undefined where it cannot decode it, which says nothing about the mesh. */
  readonly picture: ImageBitmap | undefined;
  /** Its id once the mesh holds it. */
  readonly imageId: string | undefined;
}

export type SourceState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'ready'; readonly source: Source };

export interface SourceStore {
  readonly state: ReadonlySignal<SourceState>;
  load(file: Blob, name: string): Promise<void>;
  loadUrl(url: string, name: string): Promise<void>;
  /** The mesh holds the bytes of the source now. */
  stored(source: Source, imageId: string): void;
}

export function createSource(): SourceStore {
  const state = signal<SourceState>({ kind: 'loading' });
  let latest = 0;

  async function load(file: Blob, name: string): Promise<void> {
    const turn = ++latest;
    const [bytes, picture] = await Promise.all([file.arrayBuffer(), toPicture(file)]);
    if (turn !== latest) return picture?.close();
    const source = { name, bytes: new Uint8Array(bytes), type: file.type, picture, imageId: undefined };
    state.value = { kind: 'ready', source };
  }

  return {
    state,
    load,
    async loadUrl(url, name) {
      try {
        const response = await fetch(url);
        if (!response.ok) throw new Error(`the gateway answers ${response.status}`);
        await load(await response.blob(), name);
      } catch (error) {
        state.value = { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
      }
    },
    stored(source, imageId) {
      const now = state.value;
      if (now.kind === 'ready' && now.source.bytes === source.bytes) {
        state.value = { kind: 'ready', source: { ...now.source, imageId } };
      }
    },
  };
}

/** Undefined where the browser cannot decode it. */
export async function toPicture(bytes: Blob): Promise<ImageBitmap | undefined> {
  return createImageBitmap(bytes).catch(() => undefined);
}
