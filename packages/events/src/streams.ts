/** Streams and consumers in the server. */
import { type ConsumerConfig, type NatsConnection, NatsError, type StreamConfig } from 'nats';
import { isMissing } from './nats-errors.ts';

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

/** The server said so; without JetStream it says nothing, which is "no responders". */
function isStreamMissing(error: unknown): boolean {
  return isMissing(error) && error instanceof NatsError && error.api_error !== undefined;
}
