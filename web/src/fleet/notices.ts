/** What has happened to replicas, told from one listing to the next. Pure. */
import { type Replica, ReplicaState } from '@imagemesh/api';
import { replicaState, type Tone } from '../mesh/names.ts';

export interface Notice {
  readonly id: string;
  readonly atMs: number;
  readonly tone: Tone;
  /** Who or what it is about. */
  readonly subject: string;
  readonly text: string;
}

export function noticesOf(before: readonly Replica[], after: readonly Replica[], atMs: number): Notice[] {
  const known = new Map(before.map((replica) => [replica.replicaId, replica]));
  return after.flatMap((replica) => {
    const was = known.get(replica.replicaId);
    if (was?.state === replica.state) return [];
    const { replicaId, state } = replica;
    const id = `${replicaId}-${state}-${atMs}`;
    return [
      { id, atMs, tone: replicaState(state).tone, subject: replicaId, text: tell(was?.state, replica) },
    ];
  });
}

function tell(was: ReplicaState | undefined, { state, lastError }: Replica): string {
  const why = lastError === '' ? '' : `: ${lastError}`;
  switch (state) {
    case ReplicaState.DEAD:
      return `is gone${why}`;
    case ReplicaState.EJECTED:
      return `is kept out for a while${why}`;
    case ReplicaState.SUSPECT:
      return `gets no new work${why}`;
    case ReplicaState.DRAINING:
      return 'finishes what it has and leaves';
    case ReplicaState.WARMING:
      return was === ReplicaState.DEAD ? 'is back' : was === undefined ? 'has joined' : 'warms up again';
    case ReplicaState.READY:
      return was === ReplicaState.DEAD ? 'is back and takes work' : 'takes work';
    default:
      return replicaState(state).name.toLowerCase();
  }
}
