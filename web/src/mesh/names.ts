/** The API's enums as people read them, and as the style sheet colours them. */
import { Format, JobState, ReplicaState, WorkerKind } from '@imagemesh/api';

export type Tone = 'good' | 'warn' | 'bad' | 'info' | 'idle';

export interface Named {
  readonly name: string;
  readonly tone: Tone;
}

/** A newer gateway may send numbers that this page does not know. */
const unknown: Named = { name: 'Unknown', tone: 'idle' };

const replicaStates = new Map<ReplicaState, Named>([
  [ReplicaState.WARMING, { name: 'Warming', tone: 'info' }],
  [ReplicaState.READY, { name: 'Ready', tone: 'good' }],
  [ReplicaState.SUSPECT, { name: 'Suspect', tone: 'warn' }],
  [ReplicaState.EJECTED, { name: 'Ejected', tone: 'bad' }],
  [ReplicaState.DRAINING, { name: 'Draining', tone: 'warn' }],
  [ReplicaState.DEAD, { name: 'Dead', tone: 'bad' }],
]);

const jobStates = new Map<JobState, Named>([
  [JobState.QUEUED, { name: 'Queued', tone: 'idle' }],
  [JobState.RUNNING, { name: 'Running', tone: 'info' }],
  [JobState.SUCCEEDED, { name: 'Succeeded', tone: 'good' }],
  [JobState.FAILED, { name: 'Failed', tone: 'bad' }],
  [JobState.CANCELLED, { name: 'Cancelled', tone: 'idle' }],
]);

const workers = new Map<WorkerKind, string>([
  [WorkerKind.RESIZE, 'resize'],
  [WorkerKind.FILTER, 'filter'],
]);

interface FormatNames {
  readonly name: string;
  readonly mime: string;
  readonly extension: string;
}

const formats = new Map<Format, FormatNames>([
  [Format.JPEG, { name: 'JPEG', mime: 'image/jpeg', extension: 'jpg' }],
  [Format.PNG, { name: 'PNG', mime: 'image/png', extension: 'png' }],
  [Format.WEBP, { name: 'WebP', mime: 'image/webp', extension: 'webp' }],
  [Format.AVIF, { name: 'AVIF', mime: 'image/avif', extension: 'avif' }],
  [Format.GIF, { name: 'GIF', mime: 'image/gif', extension: 'gif' }],
  [Format.TIFF, { name: 'TIFF', mime: 'image/tiff', extension: 'tiff' }],
]);

const otherFormat: FormatNames = { name: 'Unknown', mime: 'application/octet-stream', extension: 'bin' };

export function replicaState(state: ReplicaState): Named {
  return replicaStates.get(state) ?? unknown;
}

export function jobState(state: JobState): Named {
  return jobStates.get(state) ?? unknown;
}

export function workerName(worker: WorkerKind): string {
  return workers.get(worker) ?? 'unknown';
}

export function formatNames(format: Format): FormatNames {
  return formats.get(format) ?? otherFormat;
}
