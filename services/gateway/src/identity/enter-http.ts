/** Lets in a call that comes as an HTTP request: Connect's and the HTTP side's. */
import type { NodeServerRequest, NodeServerResponse } from '@imagemesh/rpc';
import type { MemoryBudget } from '../memory-budget.ts';
import type { Caller } from './caller.ts';
import type { Enter } from './enter.ts';
import type { Access } from './method-access.ts';

export interface HttpEntry {
  readonly caller: Caller;
  /** Of the connection. */
  readonly budget: MemoryBudget;
}

export type EnterHttp = (
  request: NodeServerRequest,
  response: NodeServerResponse,
  access: Access,
) => HttpEntry;

/** The call is over when its response is closed. Throws what `enter` throws. */
export function createEnterHttp(enter: Enter, budgetOf: (connection: object) => MemoryBudget): EnterHttp {
  return (request, response, access) => {
    const { caller, leave } = enter(request.headers, access);
    if (response.destroyed) leave();
    else response.once('close', leave);
    return { caller, budget: budgetOf(connectionOf(request)) };
  };
}

/** The HTTP/2 session, or the socket. */
function connectionOf(request: NodeServerRequest): object {
  return ('stream' in request ? request.stream.session : request.socket) ?? request;
}
