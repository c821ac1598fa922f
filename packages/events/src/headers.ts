/** Headers of NATS messages: the trace and the request that a message belongs to. */
import { formatTraceparent, parseTraceparent, type TraceContext } from '@imagemesh/observe';
import { headers, type MsgHdrs } from 'nats';

export interface MessageContext {
  readonly trace?: TraceContext | undefined;
  readonly requestId?: string | undefined;
}

const traceparent = 'traceparent';
const requestIdHeader = 'x-request-id';

export function toHeaders({ trace, requestId }: MessageContext): MsgHdrs {
  const all = headers();
  if (trace !== undefined) all.set(traceparent, formatTraceparent(trace));
  if (requestId !== undefined) all.set(requestIdHeader, requestId);
  return all;
}

export function fromHeaders(all: MsgHdrs | undefined): MessageContext {
  const requestId = all?.get(requestIdHeader);
  return {
    trace: parseTraceparent(all?.get(traceparent)),
    requestId: requestId === '' ? undefined : requestId,
  };
}
