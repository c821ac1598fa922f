/**
 * Whether another gateway still works on a job. A message of the queue can come again while its job is being worked on:
 * a server that was killed forgets who had it. The gateway that gets it asks the other one, by a request that has no
 * responder if that is gone.
 */
import type { NatsConnection } from 'nats';
import type { NatsLink } from './nats-link.ts';

export interface RunCheck {
  /** Whether that gateway says that it has the run; true also for a while after connecting: it may still be about to. */
  isRunning(gatewayId: string, token: string): Promise<boolean>;
}

export interface RunCheckOptions {
  readonly gatewayId: string;
  /** Whether this gateway has the run. */
  readonly hasRun: (token: string) => boolean;
  /** Time that others may need to connect again. Default 3 s. */
  readonly settleMs?: number;
}

const answerMs = 500;
const subjectOf = (gatewayId: string) => `imagemesh.runs.${gatewayId}`;

export function createRunCheck(
  link: NatsLink,
  { gatewayId, hasRun, settleMs = 3000 }: RunCheckOptions,
): RunCheck {
  let connectedMs = Number.NEGATIVE_INFINITY;
  let listening: NatsConnection | undefined;
  link.keep(async (connection) => {
    if (connection === listening) return;
    listening = connection;
    connectedMs = performance.now();
    connection.subscribe(subjectOf(gatewayId), {
      callback: (error, message) => {
        if (error === null) message.respond(hasRun(message.string()) ? 'yes' : 'no');
      },
    });
  });
  return {
    async isRunning(otherId, token) {
      const answer = await link.call((connection) =>
        // Without an answer nobody listens, or it stands still.
        connection.request(subjectOf(otherId), token, { timeout: answerMs }).catch(() => undefined),
      );
      if (answer !== undefined) return answer.string() === 'yes';
      return performance.now() - connectedMs < settleMs;
    },
  };
}
