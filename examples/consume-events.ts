/**
 * Prints each job that completes, from the stream of events on NATS, and goes on where it left off when it is started
 * again under the same name.
 *
 *     node --import tsx examples/consume-events.ts nats://127.0.0.1:4222 my-consumer
 */
import { AckPolicy, connect, DeliverPolicy } from 'nats';

const [servers = 'nats://127.0.0.1:4222', name = 'example'] = process.argv.slice(2);
const connection = await connect({ servers, maxReconnectAttempts: -1 });
const { consumers } = await connection.jetstreamManager();
await consumers.add('IMAGEMESH_EVENTS', {
  durable_name: name,
  ack_policy: AckPolicy.Explicit,
  // All that is kept. DeliverPolicy.New: only what happens from now on.
  deliver_policy: DeliverPolicy.All,
  filter_subject: 'imagemesh.events.job.completed.>',
});
const consumer = await connection.jetstream().consumers.get('IMAGEMESH_EVENTS', name);
const messages = await consumer.consume({ max_messages: 16 });
process.once('SIGINT', () => void messages.close());

for await (const message of messages) {
  const event = message.json<{
    id: string;
    time: string;
    subject: string;
    data: { results?: { imageId: string }[] };
  }>();
  const images = (event.data.results ?? []).map(({ imageId }) => imageId);
  // What is done twice for the same event.id must do no harm: a message whose ack is lost comes again.
  console.log(`${event.time} job ${event.subject} made ${images.join(' ')}`);
  message.ack();
}
await connection.drain();
