/** One call of each kind, in the variations that the matrix needs. Each resolves with something to compare. */
import { type CallOptions, createClient, type Transport } from '@connectrpc/connect';
import { BalancerService, Format, ImageService } from '@imagemesh/api';
import { pixelsOf } from '../calls.ts';
import type { CallKind } from './ways.ts';

/** What is sent. */
export type Variation = 'good' | 'wrong' | 'endless' | 'too large';

export interface Pictures {
  /** 64 × 32 px. */
  readonly small: Uint8Array;
  /** More bytes than the gateway takes. */
  readonly large: Uint8Array;
}

/** `onSent` of an endless call: all that is sent has been handed to the client, or the first reply is there. */
type Options = CallOptions & { readonly onSent?: () => void };

type Call = (transport: Transport, pictures: Pictures, options: Options) => Promise<unknown>;

const half = { operation: { case: 'resize', value: { width: 32, height: 16 } } } as const;
const nothing = { operation: { case: 'resize', value: { width: 0 } } } as const;
/** No replica of the matrix's mesh filters: the call waits for one. */
const blur = { operation: { case: 'blur', value: {} } } as const;
const output = { format: Format.PNG };

/** What a good call of each kind resolves with. */
export const goodResult: Record<CallKind, unknown> = {
  unary: [32, 16],
  'client streaming': [64, 32],
  'server streaming': ['half', 32, 16],
  'bidi streaming': [32, 16],
};

export const calls: Record<CallKind, Record<Variation, Call>> = {
  unary: {
    good: async (transport, { small }, options) => {
      const request = { source: inline(small), operations: [half], output };
      const { data } = await createClient(ImageService, transport).transform(request, options);
      return sizeOf(data);
    },
    wrong: (transport, { small }, options) =>
      createClient(ImageService, transport).transform(
        { source: inline(small), operations: [nothing] },
        options,
      ),
    endless: (transport, { small }, options) =>
      createClient(ImageService, transport).transform({ source: inline(small), operations: [blur] }, options),
    'too large': (transport, { large }, options) =>
      createClient(ImageService, transport).transform({ source: inline(large) }, options),
  },

  'client streaming': {
    good: async (transport, { small }, options) => {
      const client = createClient(ImageService, transport);
      const { image } = await client.uploadImage(parts({}, small), options);
      return [image?.info?.width, image?.info?.height];
    },
    wrong: (transport, { small }, options) =>
      createClient(ImageService, transport).uploadImage(parts({ sha256: '0'.repeat(64) }, small), options),
    endless: (transport, { small }, options) =>
      createClient(ImageService, transport).uploadImage(thenSilent(unfinished({}, small), options), options),
    'too large': (transport, { large }, options) =>
      createClient(ImageService, transport).uploadImage(parts({}, large), options),
  },

  'server streaming': {
    good: async (transport, { small }, options) => {
      const request = { source: inline(small), variants: [{ name: 'half', operations: [half], output }] };
      const chunks: Uint8Array[] = [];
      let name = '';
      for await (const { message } of createClient(ImageService, transport).render(request, options)) {
        if (message.case === 'header') name = message.value.name;
        if (message.case === 'chunk') chunks.push(message.value);
      }
      return [name, ...(await sizeOf(Buffer.concat(chunks)))];
    },
    wrong: async (transport, { small }, options) => {
      const request = { source: inline(small), variants: [{ name: 'none', operations: [nothing] }] };
      for await (const _ of createClient(ImageService, transport).render(request, options));
    },
    endless: async (transport, _pictures, options) => {
      for await (const _ of createClient(BalancerService, transport).watchReplicas({}, options))
        options.onSent?.();
    },
    'too large': async (transport, { large }, options) => {
      const request = { source: inline(large), variants: [{ name: 'all' }] };
      for await (const _ of createClient(ImageService, transport).render(request, options));
    },
  },

  'bidi streaming': {
    good: async (transport, { small }, options) => {
      const client = createClient(ImageService, transport);
      return sizeOf(
        await collect(client.transformStream(parts({ operations: [half], output }, small), options)),
      );
    },
    wrong: (transport, { small }, options) =>
      collect(
        createClient(ImageService, transport).transformStream(
          parts({ operations: [nothing] }, small),
          options,
        ),
      ),
    endless: (transport, { small }, options) =>
      collect(
        createClient(ImageService, transport).transformStream(
          thenSilent(unfinished({ operations: [half] }, small), options),
          options,
        ),
      ),
    'too large': (transport, { large }, options) =>
      collect(createClient(ImageService, transport).transformStream(parts({}, large), options)),
  },
};

function inline(bytes: Uint8Array) {
  return { source: { case: 'data', value: bytes } } as const;
}

async function sizeOf(bytes: Uint8Array): Promise<readonly [number, number]> {
  const { width, height } = await pixelsOf(bytes);
  return [width, height];
}

type Part<Spec> = { readonly message: { case: 'spec'; value: Spec } | { case: 'chunk'; value: Uint8Array } };

async function* parts<Spec>(spec: Spec, bytes: Uint8Array): AsyncIterable<Part<Spec>> {
  yield { message: { case: 'spec', value: spec } };
  for (let at = 0; at < bytes.length; at += 65_536)
    yield { message: { case: 'chunk', value: bytes.subarray(at, at + 65_536) } };
}

/** A client that leaves may end its stream first; what it had announced tells that this was not the end. */
function unfinished<Spec>(spec: Spec, bytes: Uint8Array): AsyncIterable<Part<Spec & { sizeBytes: bigint }>> {
  return parts({ ...spec, sizeBytes: BigInt(bytes.length + 1) }, bytes);
}

/** Sends the parts, then neither more nor an end. */
async function* thenSilent<Item>(items: AsyncIterable<Item>, { onSent }: Options): AsyncIterable<Item> {
  yield* items;
  onSent?.();
  await new Promise(() => {});
}

async function collect(
  reply: AsyncIterable<{ readonly message: { case?: string | undefined; value?: unknown } }>,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const { message } of reply) {
    if (message.case === 'chunk' && message.value instanceof Uint8Array) chunks.push(message.value);
  }
  return Buffer.concat(chunks);
}
