/** One replica: its state plain to see, its figures, and a way to make it leave. */
import { timestampMs } from '@bufbuild/protobuf/wkt';
import { type Replica, ReplicaState } from '@imagemesh/api';
import { replicaState } from '../mesh/names.ts';
import { agoText, bytesText, clockText, countText, durationText } from '../ui/format.ts';
import { DrainButton } from './drain-button.tsx';
import type { ReplicaHistory } from './history.ts';
import { StateStrip } from './state-strip.tsx';

interface ReplicaCardProps {
  readonly replica: Replica;
  readonly history: ReplicaHistory | undefined;
  readonly color: string;
  readonly nowMs: number;
  readonly onDrain: (replicaId: string) => Promise<void>;
}

/** For so long a replica that has joined is marked as new. */
const newMs = 15_000;

export function ReplicaCard({ replica, history, color, nowMs, onDrain }: ReplicaCardProps) {
  const { replicaId, state, slots, inFlight, weight, speed, p50Ms, p99Ms, successRate } = replica;
  const { name, tone } = replicaState(state);
  const isDead = state === ReplicaState.DEAD;
  const joinedMs = replica.joinTime === undefined ? 0 : timestampMs(replica.joinTime);
  const isNew = !isDead && nowMs - joinedMs < newMs;
  const hasCalls = p99Ms > 0;
  return (
    <li
      class="card replica"
      data-testid={`replica-${replicaId}`}
      data-state={name.toLowerCase()}
      data-new={isNew}
    >
      <div class="replica-head">
        <span class="swatch" style={{ background: `var(${color})` }} aria-hidden="true" />
        <h3 class="mono">{replicaId}</h3>
        <span class="badge" data-tone={tone}>
          {name}
        </span>
        <span class="soft since">{sinceText(replica, nowMs)}</span>
        {!isDead && state !== ReplicaState.DRAINING && (
          <DrainButton replicaId={replicaId} onDrain={onDrain} />
        )}
      </div>
      <StateStrip history={history} />
      <dl class="figures">
        <Figure name="In flight" title="Calls it runs now, of those it can run at once">
          {isDead ? '—' : `${inFlight} / ${slots}`}
        </Figure>
        <Figure name="Weight" title="Its share of the capacity of its kind">
          {isDead ? '—' : `${Math.round(weight * 100)} %`}
        </Figure>
        <Figure name="Speed" title="Reference milliseconds of work a millisecond">
          {isDead ? '—' : `${speed.toFixed(2)} ×`}
        </Figure>
        <Figure name="Median" title="Of the last 100 calls">
          {hasCalls ? durationText(p50Ms) : '—'}
        </Figure>
        <Figure name="p99" title="Of the last 100 calls">
          {hasCalls ? durationText(p99Ms) : '—'}
        </Figure>
        <Figure name="Success" title="Of the last 100 calls">{`${Math.round(successRate * 100)} %`}</Figure>
        <Figure name="Calls" title="Ended since it joined; failed through its own fault">
          {countText(Number(replica.completed))}
          {replica.failed > 0n && (
            <span class="bad figure-note">{countText(Number(replica.failed))} failed</span>
          )}
        </Figure>
        <Figure
          name="Retried"
          title="Calls it did not see through since it joined, which another replica was given"
        >
          {countText(Number(replica.retried))}
        </Figure>
        <Figure name="Ejections" title="How often since it joined it was kept out for failing too often">
          {replica.ejections}
          {replica.lastEjectionTime && (
            <span class="soft figure-note">{agoText(timestampMs(replica.lastEjectionTime), nowMs)}</span>
          )}
        </Figure>
        <Figure name="CPU" title="Of its process, in cores">
          {isDead ? '—' : replica.cpuCores.toFixed(2)}
        </Figure>
        <Figure name="Memory" title="Resident">
          {isDead ? '—' : bytesText(Number(replica.residentBytes))}
        </Figure>
      </dl>
      {replica.lastError !== '' && <p class="last-error soft">Last trouble: {replica.lastError}</p>}
    </li>
  );
}

/** In what state it has been for how long; of an ejection also how long it lasts. */
function sinceText(replica: Replica, nowMs: number): string {
  const { state, joinTime, lastReportTime, lastEjectionTime, ejectedUntilTime } = replica;
  const joinedMs = joinTime === undefined ? 0 : timestampMs(joinTime);
  if (state === ReplicaState.DEAD) {
    return `gone, last heard ${agoText(lastReportTime === undefined ? 0 : timestampMs(lastReportTime), nowMs)}`;
  }
  if (ejectedUntilTime !== undefined && lastEjectionTime !== undefined) {
    const leftMs = Math.max(0, timestampMs(ejectedUntilTime) - nowMs);
    return `out since ${clockText(timestampMs(lastEjectionTime))}, tried again in ${Math.ceil(leftMs / 1000)} s`;
  }
  return nowMs - joinedMs < newMs
    ? `joined ${agoText(joinedMs, nowMs)}`
    : `up ${durationText(Math.max(0, nowMs - joinedMs))}`;
}

function Figure({
  name,
  title,
  children,
}: {
  name: string;
  title: string;
  children: preact.ComponentChildren;
}) {
  return (
    <div class="fact" title={title}>
      <dt>{name}</dt>
      <dd class="mono">{children}</dd>
    </div>
  );
}
