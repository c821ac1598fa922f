/** Typed clients of the mesh's services, on @grpc/grpc-js and protobuf-es. For control calls; images go by wire.ts. */
import {
  create,
  type DescMessage,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { type CallOptions, type ChannelOptions, Client, credentials, Metadata } from '@grpc/grpc-js';
import { createCallSignal, type Deadline } from './deadline.ts';
import { MAX_MESSAGE_BYTES } from './frames.ts';
import { toMeshError } from './mesh-errors.ts';
import { MESH_NAME, type MeshTls } from './mesh-tls.ts';

export interface ClientCallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly deadline?: Deadline | undefined;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** A call that sends and receives at once. */
export interface BidiCall<Input extends DescMessage, Output extends DescMessage> {
  /** Resolves once the message is on its way: await it, that is the backpressure. */
  send(message: MessageInitShape<Input>): Promise<void>;
  end(): void;
  /** To be iterated once; throws MeshError. Leaving the loop cancels the call. */
  readonly messages: AsyncIterable<MessageShape<Output>>;
  cancel(): void;
}

type MethodCall<Method> =
  Method extends DescMethodUnary<infer Input, infer Output>
    ? (request: MessageInitShape<Input>, options?: ClientCallOptions) => Promise<MessageShape<Output>>
    : Method extends DescMethodServerStreaming<infer Input, infer Output>
      ? (request: MessageInitShape<Input>, options?: ClientCallOptions) => AsyncIterable<MessageShape<Output>>
      : Method extends DescMethodBiDiStreaming<infer Input, infer Output>
        ? (options?: ClientCallOptions) => BidiCall<Input, Output>
        : never;

/** One function per unary, server-streaming and bidi method, by its local name ("listReplicas"). */
export type GrpcClient<Service extends DescService> = {
  readonly [Name in keyof Service['method']]: MethodCall<Service['method'][Name]>;
} & { readonly close: () => void };

export interface GrpcClientOptions {
  /** Most bytes of one message either way. Default 4 MiB. */
  readonly maxMessageBytes?: number;
  /** Pings while calls are open. Default every 10 s, 5 s to answer. */
  readonly keepaliveMs?: number;
  readonly keepaliveTimeoutMs?: number;
  /** Without it the connection is in clear. */
  readonly tls?: MeshTls | undefined;
}

/** Connects to host:port on first use and again whenever needed, at most 1 s apart. All errors are MeshErrors. */
export function createGrpcClient<Service extends DescService>(
  service: Service,
  address: string,
  options: GrpcClientOptions = {},
): GrpcClient<Service> {
  const client = new Client(
    address,
    options.tls?.credentials ?? credentials.createInsecure(),
    channelOptions(options),
  );
  const calls: Record<string, unknown> = { close: () => client.close() };
  for (const method of service.methods) {
    switch (method.methodKind) {
      case 'unary':
        calls[method.localName] = unary(client, method);
        break;
      case 'server_streaming':
        calls[method.localName] = serverStreaming(client, method);
        break;
      case 'bidi_streaming':
        calls[method.localName] = bidi(client, method);
        break;
      default:
        break;
    }
  }
  // Built from the same descriptor that the type is derived from.
  return calls as GrpcClient<Service>;
}

function channelOptions(options: GrpcClientOptions): ChannelOptions {
  const maxMessageBytes = options.maxMessageBytes ?? MAX_MESSAGE_BYTES;
  return {
    'grpc.max_receive_message_length': maxMessageBytes,
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.min_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1000,
    'grpc.keepalive_time_ms': options.keepaliveMs ?? 10_000,
    'grpc.keepalive_timeout_ms': options.keepaliveTimeoutMs ?? 5000,
    // Retries live in the balancer, the gateway and the jobs' consumer, nowhere else.
    'grpc.enable_retries': 0,
    'grpc.use_local_subchannel_pool': 1,
    ...(options.tls !== undefined && { 'grpc.ssl_target_name_override': MESH_NAME }),
  };
}

/** What the calls need of a descriptor; of any kind of method. */
interface Method<Input extends DescMessage, Output extends DescMessage> {
  readonly parent: DescService;
  readonly name: string;
  readonly input: Input;
  readonly output: Output;
}

interface Codec<Input extends DescMessage, Output extends DescMessage> {
  readonly path: string;
  serialize(message: MessageShape<Input>): Buffer;
  deserialize(bytes: Buffer): MessageShape<Output>;
}

function codecOf<Input extends DescMessage, Output extends DescMessage>(
  method: Method<Input, Output>,
): Codec<Input, Output> {
  const { input, output } = method;
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    serialize: (message) => {
      const bytes = toBinary(input, message);
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    },
    deserialize: (bytes) => fromBinary(output, bytes),
  };
}

function unary<Input extends DescMessage, Output extends DescMessage>(
  client: Client,
  method: Method<Input, Output>,
) {
  const codec = codecOf(method);
  return async (request: MessageInitShape<Input>, options: ClientCallOptions = {}) => {
    const { metadata, callOptions, ending } = prepare(options);
    try {
      return await new Promise<MessageShape<Output>>((resolve, reject) => {
        const { path, serialize, deserialize } = codec;
        const message = create(method.input, request);
        const call = client.makeUnaryRequest(
          path,
          serialize,
          deserialize,
          message,
          metadata,
          callOptions,
          (error, value) => {
            if (error !== null) reject(ending.signal.aborted ? ending.signal.reason : toMeshError(error));
            else if (value !== undefined) resolve(value);
          },
        );
        onAbort(ending.signal, () => call.cancel());
      });
    } finally {
      ending.dispose();
    }
  };
}

function serverStreaming<Input extends DescMessage, Output extends DescMessage>(
  client: Client,
  method: Method<Input, Output>,
) {
  const codec = codecOf(method);
  return (request: MessageInitShape<Input>, options: ClientCallOptions = {}) => {
    const { metadata, callOptions, ending } = prepare(options);
    const { path, serialize, deserialize } = codec;
    const message = create(method.input, request);
    const call = client.makeServerStreamRequest(path, serialize, deserialize, message, metadata, callOptions);
    onAbort(ending.signal, () => call.cancel());
    return iterate(call, ending);
  };
}

function bidi<Input extends DescMessage, Output extends DescMessage>(
  client: Client,
  method: Method<Input, Output>,
) {
  const codec = codecOf(method);
  return (options: ClientCallOptions = {}): BidiCall<Input, Output> => {
    const { metadata, callOptions, ending } = prepare(options);
    const { path, serialize, deserialize } = codec;
    const call = client.makeBidiStreamRequest(path, serialize, deserialize, metadata, callOptions);
    onAbort(ending.signal, () => call.cancel());
    let failure: unknown;
    call.on('error', (error) => {
      failure = error;
    });
    return {
      send: (message) =>
        new Promise((resolve, reject) => {
          if (failure !== undefined || call.destroyed || call.writableEnded) {
            reject(toMeshError(failure ?? new DOMException('the call is over', 'AbortError')));
            return;
          }
          call.write(create(method.input, message), (error: Error | null | undefined) => {
            if (error) reject(toMeshError(failure ?? error));
            else resolve();
          });
        }),
      end: () => call.end(),
      messages: iterate(call, ending),
      cancel: () => call.cancel(),
    };
  };
}

function prepare({ signal, deadline, metadata }: ClientCallOptions) {
  const headers = new Metadata();
  for (const [name, value] of Object.entries(metadata ?? {})) headers.set(name, value);
  const callOptions: CallOptions = deadline === undefined ? {} : { deadline: deadline.atMs };
  return { metadata: headers, callOptions, ending: createCallSignal({ parent: signal }) };
}

function onAbort(signal: AbortSignal, cancel: () => void): void {
  if (signal.aborted) cancel();
  else signal.addEventListener('abort', cancel, { once: true });
}

interface ReadableCall<Message> extends AsyncIterable<Message> {
  cancel(): void;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** The call's messages; its error becomes the mesh's; leaving early cancels it. */
function iterate<Message>(
  call: ReadableCall<Message>,
  ending: { readonly signal: AbortSignal; dispose(): void },
): AsyncIterable<Message> {
  let failure: unknown;
  // Without a listener an error before the first iteration would end the process.
  call.on('error', (error) => {
    failure ??= error;
    ending.dispose();
  });
  return {
    async *[Symbol.asyncIterator]() {
      let isOver = false;
      try {
        yield* call;
        if (failure !== undefined) throw failure;
        isOver = true;
      } catch (error) {
        isOver = true;
        throw toMeshError(ending.signal.aborted ? ending.signal.reason : (failure ?? error));
      } finally {
        if (!isOver) call.cancel();
        ending.dispose();
      }
    },
  };
}
