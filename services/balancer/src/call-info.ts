/** What the balancer knows of a call: its request metadata, and nothing of its messages. Pure. */
import type { IncomingHttpHeaders } from 'node:http2';
import type { WorkerKind } from '@imagemesh/api';
import { childOf, newTrace, parseTraceparent, type TraceContext } from '@imagemesh/observe';
import {
  type Deadline,
  deadlineIn,
  GRPC_TIMEOUT_HEADER,
  IM_AGE,
  IM_CLASS,
  IM_COST,
  IM_DEATHS,
  IM_FORMAT,
  IM_OP,
  IM_STORE,
  parseGrpcTimeout,
  REQUEST_ID_HEADER,
  requestIdFrom,
  TRACEPARENT_HEADER,
} from '@imagemesh/rpc';
import type { CostQuestion } from './cost-model.ts';
import { CALL_CLASSES, type CallClass, type Needs } from './dispatch.ts';

export interface CallInfo {
  /** "/package.Service/Method". */
  readonly path: string;
  readonly requestId: string;
  /** The balancer's own span. */
  readonly trace: TraceContext;
  readonly deadline: Deadline;
  readonly callClass: CallClass;
  readonly needs: Needs;
  /** What its sender says of its work. */
  readonly cost: CostQuestion;
  /** How long ago an earlier stage of the same pipeline was admitted, in ms; 0: this is the first. */
  readonly ageMs: number;
  /** Replicas that died while they ran it, when it was sent before. */
  readonly deaths: number;
}

const maxCostMs = 600_000;
/** A day; setTimeout takes no more than 24. */
const maxDeadlineMs = 86_400_000;
const maxOperations = 32;
const maxDeaths = 8;
const maxFormatChars = 32;

export function readCallInfo(
  headers: IncomingHttpHeaders,
  worker: WorkerKind,
  defaultDeadlineMs: number,
): CallInfo {
  const timeoutMs = parseGrpcTimeout(headers[GRPC_TIMEOUT_HEADER]) ?? defaultDeadlineMs;
  const path = String(headers[':path'] ?? '');
  const needs = needsOf(worker, textOf(headers[IM_OP]), textOf(headers[IM_STORE]));
  const saidMs = numberOf(textOf(headers[IM_COST]));
  const parent = parseTraceparent(headers[TRACEPARENT_HEADER]);
  return {
    path,
    requestId: requestIdFrom(headers[REQUEST_ID_HEADER]),
    trace: parent === undefined ? newTrace() : childOf(parent),
    deadline: deadlineIn(Math.min(timeoutMs, maxDeadlineMs)),
    callClass: CALL_CLASSES.find((callClass) => callClass === headers[IM_CLASS]) ?? 'default',
    needs,
    cost: {
      kind: `${path} ${needs.operations.join(',')} ${textOf(headers[IM_FORMAT]).slice(0, maxFormatChars)}`,
      saidMs: saidMs === undefined ? undefined : Math.min(saidMs, maxCostMs),
    },
    ageMs: Math.min(numberOf(textOf(headers[IM_AGE])) ?? 0, maxDeadlineMs),
    deaths: Math.min(Math.trunc(numberOf(textOf(headers[IM_DEATHS])) ?? 0), maxDeaths),
  };
}

function needsOf(worker: WorkerKind, operationList: string, storeId: string): Needs {
  const names = operationList
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const operations = [...new Set(names)].sort().slice(0, maxOperations);
  return {
    worker,
    operations,
    storeId: storeId === '' ? undefined : storeId,
    key: `${worker} ${storeId} ${operations.join(',')}`,
  };
}

function numberOf(text: string): number | undefined {
  return /^\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) : undefined;
}

function textOf(header: string | string[] | undefined): string {
  return typeof header === 'string' ? header : '';
}
