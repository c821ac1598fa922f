/** What tests need: a real nats-server, a whole mesh, pictures. */
export { findNatsServer, type NatsServer, type NatsServerOptions, startNatsServer } from './nats-server.ts';
