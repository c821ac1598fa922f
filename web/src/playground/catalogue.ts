/** The operations of the mesh, asked once: controls are made of them. */
import type { ImageUrls, OperationDescription, ParameterDescription } from '@imagemesh/api';
import { type ReadonlySignal, signal } from '@preact/signals';
import type { Clients } from '../mesh/clients.ts';
import { type Failure, toFailure } from '../mesh/failure.ts';

export type CatalogueState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'failed'; readonly failure: Failure }
  | {
      readonly kind: 'ready';
      readonly operations: ReadonlyMap<string, OperationDescription>;
      readonly output: readonly ParameterDescription[];
      readonly imageUrls: ImageUrls;
    };

export interface Catalogue {
  readonly state: ReadonlySignal<CatalogueState>;
  load(): Promise<void>;
}

export function createCatalogue(clients: Clients): Catalogue {
  const state = signal<CatalogueState>({ kind: 'loading' });
  return {
    state,
    async load() {
      if (state.value.kind === 'failed') state.value = { kind: 'loading' };
      try {
        const { operations, outputParameters, imageUrls } = await clients.images.listOperations({});
        const byName = new Map(operations.map((operation) => [operation.name, operation]));
        state.value = { kind: 'ready', operations: byName, output: outputParameters, imageUrls };
      } catch (error) {
        state.value = { kind: 'failed', failure: toFailure(error) };
      }
    },
  };
}
