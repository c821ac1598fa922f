/** The operations of the mesh, asked once: controls are made of them. */
import type { OperationDescription, ParameterDescription } from '@imagemesh/api';
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
        const { operations, outputParameters } = await clients.images.listOperations({});
        const byName = new Map(operations.map((operation) => [operation.name, operation]));
        state.value = { kind: 'ready', operations: byName, output: outputParameters };
      } catch (error) {
        state.value = { kind: 'failed', failure: toFailure(error) };
      }
    },
  };
}
