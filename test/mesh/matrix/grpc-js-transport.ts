/** grpc-js behind Connect's interface of a transport, so that one test drives it like every other client. */
import {
  create,
  type DescMessage,
  type DescMethod,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { ConnectError, type Transport } from '@connectrpc/connect';
import {
  Client,
  type ClientDuplexStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { StatusSchema } from '@imagemesh/api';

/** grpc-js's number for gzip. */
const gzip = 2;

export interface GrpcJsOptions {
  /** host:port. */
  readonly address: string;
  /** Whether requests are sent with gzip. */
  readonly sendsGzip?: boolean;
}

export function createGrpcJsTransport({ address, sendsGzip = false }: GrpcJsOptions): Transport & {
  close(): void;
} {
  const client = new Client(address, credentials.createInsecure(), {
    ...(sendsGzip && { 'grpc.default_compression_algorithm': gzip }),
  });

  function open<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { readonly input: I; readonly output: O },
    header: ConstructorParameters<typeof Headers>[0],
    signal: AbortSignal | undefined,
  ) {
    const metadata = new Metadata();
    new Headers(header).forEach((value, name) => {
      metadata.set(name, value);
    });
    const call = client.makeBidiStreamRequest<MessageShape<I>, MessageShape<O>>(
      `/${method.parent.typeName}/${method.name}`,
      (message) => Buffer.from(toBinary(method.input, message)),
      (bytes) => fromBinary(method.output, bytes),
      metadata,
    );
    const onAbort = () => call.cancel();
    signal?.addEventListener('abort', onAbort, { once: true });
    // It may come before anybody reads.
    const failure = new Promise<ServiceError | undefined>((resolve) => {
      call.once('error', resolve).once('end', () => resolve(undefined));
    });
    const headers = new Promise<Headers>((resolve) => {
      call.once('metadata', (received) => resolve(toHeaders(received)));
      call.once('status', ({ metadata: received }) => resolve(toHeaders(received)));
    });
    return { call, headers, failure };
  }

  return {
    close: () => client.close(),

    async unary(method, signal, _timeoutMs, header, input) {
      const { call, headers, failure } = open(method, header, signal);
      call.write(create(method.input, input));
      call.end();
      const messages = [];
      for await (const each of read(call, headers, failure)) messages.push(each);
      const [message] = messages;
      if (message === undefined || messages.length > 1) throw new Error('a unary reply has one message');
      return {
        stream: false,
        service: method.parent,
        method,
        header: await headers,
        // It was read with the method's own schema.
        message: message as MessageShape<typeof method.output>,
        trailer: new Headers(),
      };
    },

    async stream(method, signal, _timeoutMs, header, input) {
      const { call, headers, failure } = open(method, header, signal);
      void send(call, method.input, input);
      return {
        stream: true,
        service: method.parent,
        method,
        header: await headers,
        message: read(call, headers, failure),
        trailer: new Headers(),
      };
    },
  };
}

async function* read<Request, Reply>(
  call: ClientDuplexStream<Request, Reply>,
  headers: Promise<Headers>,
  failure: Promise<Error | undefined>,
): AsyncIterable<Reply> {
  try {
    for await (const message of call) yield message;
  } catch {
    // It is the failure.
  }
  const error = await failure;
  // All that a call of grpc-js fails with.
  if (error !== undefined) throw toConnectError(error as ServiceError, await headers);
}

async function send<I extends DescMessage>(
  call: { write(message: MessageShape<I>): boolean; end(): void; readonly destroyed: boolean },
  schema: I,
  messages: AsyncIterable<MessageInitShape<I>>,
): Promise<void> {
  for await (const message of messages) {
    if (call.destroyed) return;
    call.write(create(schema, message));
    await new Promise((resolve) => setImmediate(resolve));
  }
  call.end();
}

function toHeaders(metadata: Metadata): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(metadata.getMap())) {
    // Binary ones are bytes here; the only one there is is taken apart below.
    if (typeof value === 'string') headers.set(name, value);
  }
  return headers;
}

/** With the details of grpc-status-details-bin. */
function toConnectError(error: ServiceError, headers: Headers): ConnectError {
  const out = new ConnectError(error.details, Number(error.code), headers);
  const [details] = error.metadata.get('grpc-status-details-bin');
  if (error.code !== status.OK && details instanceof Uint8Array) {
    out.details = fromBinary(StatusSchema, details).details.map(({ typeUrl, value }) => ({
      type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1),
      value,
    }));
  }
  return out;
}
