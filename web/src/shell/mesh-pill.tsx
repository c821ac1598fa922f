/** The mesh in a word: how many replicas take work, and whether what the page says is live. */
import { ReplicaState } from '@imagemesh/api';
import type { FleetState } from '../fleet/fleet-state.ts';

const taking: readonly ReplicaState[] = [ReplicaState.READY, ReplicaState.WARMING];

export function MeshPill({ fleet }: { fleet: FleetState }) {
  const { kind } = fleet.link.state.value;
  const replicas = fleet.replicas.value;
  const ready = replicas.filter(({ state }) => taking.includes(state)).length;
  const living = replicas.filter(({ state }) => state !== ReplicaState.DEAD).length;
  const tone = kind === 'live' ? (ready > 0 && ready === living ? 'good' : 'warn') : 'bad';
  return (
    <a class="mesh-pill" href="#/fleet" data-tone={kind === 'connecting' ? 'idle' : tone}>
      <span class="dot" aria-hidden="true" />
      <span class="visually-hidden">Mesh: </span>
      {kind === 'live' ? ready : kind === 'lost' ? 'offline' : '…'}
      {kind === 'live' && <span class="pill-word">{ready === 1 ? ' replica' : ' replicas'}</span>}
    </a>
  );
}
