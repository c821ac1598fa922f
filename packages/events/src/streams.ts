/** Streams and consumers in the server. */
import { type ConsumerConfig, type NatsConnection, NatsError, type StreamConfig } from 'nats';
import { isMissing, serverCode } from './nats-errors.ts';

const timeoutMs = 1000;

/** Makes the stream, or changes its limits to these. */
export async function ensureStream(
  connection: NatsConnection,
  config: Partial<StreamConfig> & { readonly name: string },
): Promise<void> {
  const { streams } = await connection.jetstreamManager({ checkAPI: false, timeout: timeoutMs });
  try {
    await streams.info(config.name);
  } catch (error) {
    if (!isStreamMissing(error)) throw error;
    await streams.add(config);
    return;
  }
  await streams.update(config.name, config);
}

/** Makes the durable consumer, or changes it to this. */
export async function ensureConsumer(
  connection: NatsConnection,
  stream: string,
  config: Partial<ConsumerConfig> & { readonly durable_name: string },
): Promise<void> {
  const { consumers } = await connection.jetstreamManager({ checkAPI: false, timeout: timeoutMs });
  try {
    await consumers.info(stream, config.durable_name);
  } catch (error) {
    if (!isStreamMissing(error)) throw error;
    await consumers.add(stream, config);
    return;
  }
  await consumers.update(stream, config.durable_name, config);
}

/** Deletes consumers of that stream but these: a work queue takes none that overlaps with one of an earlier release. */
export async function dropOtherConsumers(
  connection: NatsConnection,
  stream: string,
  wanted: readonly string[],
): Promise<void> {
  const { consumers } = await connection.jetstreamManager({ checkAPI: false, timeout: timeoutMs });
  for await (const { name } of consumers.list(stream)) {
    if (!wanted.includes(name)) await consumers.delete(stream, name);
  }
}

/** Messages that one `dropSettled` deletes at most; the others wait for the next connection. */
const maxDropped = 1000;

/**
 * Deletes what was acknowledged but is still there. A nats-server of 2.9 that is killed can forget that it deleted a
 * message of a work queue, and remember that the message was acknowledged: nobody ever gets it, and it stays. One by
 * one, as a purge makes that server forget which messages are being worked on, too.
 */
export async function dropSettled(
  connection: NatsConnection,
  stream: string,
  consumers: readonly string[],
): Promise<void> {
  const manager = await connection.jetstreamManager({ checkAPI: false, timeout: timeoutMs });
  const { state } = await manager.streams.info(stream);
  if (state.messages === 0) return;
  let floor = state.last_seq;
  for (const consumer of consumers) {
    const { ack_floor, num_pending, num_ack_pending } = await manager.consumers.info(stream, consumer);
    // One that has nothing left is done with all that the stream had.
    if (num_pending + num_ack_pending > 0) floor = Math.min(floor, ack_floor.stream_seq);
  }
  const end = Math.min(floor, state.first_seq + maxDropped - 1);
  for (let seq = state.first_seq; seq <= end; seq += 1) {
    try {
      await manager.streams.deleteMessage(stream, seq, false);
    } catch (error) {
      // Of the messages between, most are gone.
      if (serverCode(error) === undefined) throw error;
    }
  }
}

/** The server said so; without JetStream it says nothing, which is "no responders". */
function isStreamMissing(error: unknown): boolean {
  return isMissing(error) && error instanceof NatsError && error.api_error !== undefined;
}
