/** Operation strings at their limits, in signed URLs and in POST /transform. What is good is asked of an image that is not there. */
import { type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { OperationSchema, OutputSchema } from '@imagemesh/api';
import type { ErrorReason } from '@imagemesh/rpc';
import type { KeyedTarget, UrlKey } from './keyed-target.ts';
import { below, type Kind, oneOf, pipelined } from './kind.ts';
import type { PipelinedRequest } from './pipelines.ts';

type Random = () => number;

/** Over what a text may have (docs/urls.md), and what the route takes. */
const lengths = [1, 100, 4000, 4095, 4096, 4097, 8191, 8192, 8193, 10_000];
/** With the rest of the headers within 16 KiB. */
const maxPathChars = 12_000;
const counts = [31, 32, 33, 34, 100, 1000];

const numbers = [
  ...['0', '-0', '-1', '1', '2', '65535', '65536', '2147483647', '2147483648', '-2147483649', '9'.repeat(40)],
  ...['NaN', 'Infinity', '-Infinity', '1e309', '1e-400', '1e3', '1E5', '5e-324', '1.7976931348623157e308'],
  ...[
    '0x10',
    '0b1',
    '0o7',
    '1_000',
    '1,5',
    '.5',
    '5.',
    '+5',
    '--5',
    '0.1.2',
    ' 5',
    '5 ',
    '1n',
    '١٢',
    '１２',
    '½',
    '∞',
  ],
];

/** Where a pattern that goes back over what it has read would take for ever. */
const patterns: readonly ((length: number) => string)[] = [
  (length) => `${'a'.repeat(length)}!`,
  (length) => `${'1'.repeat(length)}x!`,
  (length) => `${'1x'.repeat(length / 2)}!`,
  (length) => `${' '.repeat(length)}x`,
  (length) => `${'%20'.repeat(length / 3)}x`,
  (length) => `#${'f'.repeat(length)}g`,
  (length) => `${'-'.repeat(length)}1`,
  (length) => `${'0'.repeat(length)}1e1`,
  (length) => `${'.'.repeat(length)}5`,
  (length) => `${'true'.repeat(length / 4)}`,
];

const encodings = [
  ...[
    '%',
    '%2',
    '%zz',
    '%00',
    '%0d%0aset-cookie:%20a=b',
    '%c0%af',
    '%c3%28',
    '%ed%a0%80',
    '%f5%80%80%80',
    '%ff',
  ],
  ...[
    '%F0%9F%98%80',
    '%E2%80%AE',
    '%EF%BB%BF',
    '%CC%81'.repeat(50),
    '%25',
    '%252e%252e',
    '%2525',
    '%2F',
    '%3A',
    '+',
  ],
  ...['é', '漢字', '😀', '\u202e', 'İ', 'ſ', 'ﬀ'],
];

const names = [
  ...OperationSchema.fields.map(({ name }) => name),
  'output',
  'preset',
  ...[
    '',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'RESIZE',
    're-size',
    'resize ',
    '1',
    'null',
  ],
];

const messages: readonly DescMessage[] = [
  ...OperationSchema.fields.flatMap(({ message }) => (message === undefined ? [] : [message])),
  OutputSchema,
];

/** Every argument of one operation, with numbers where it takes numbers. */
function atBounds(random: Random): string {
  const message = oneOf(random, messages);
  const isOutput = message === OutputSchema;
  const name = isOutput ? 'output' : OperationSchema.fields.find((field) => field.message === message)?.name;
  const given = message.fields
    .filter(() => random() < 0.6)
    .map((field) => {
      const isNumber = field.scalar !== undefined && field.scalar !== ScalarType.STRING;
      const one = () =>
        isNumber ? oneOf(random, numbers) : oneOf(random, [...encodings, 'cover', 'ffcc00', '0']);
      const value =
        field.fieldKind === 'list' ? Array.from({ length: oneOf(random, counts) }, one).join(';') : one();
      return `${field.name}=${value}`;
    });
  return `${name}:${given.join(',')}`;
}

const step = (random: Random) =>
  `${oneOf(random, names)}${oneOf(random, ['', ':', `:${oneOf(random, numbers)}`, `:${oneOf(random, encodings)}`])}`;

const shapes: readonly ((random: Random) => string)[] = [
  atBounds,
  step,
  (random) => Array.from({ length: oneOf(random, counts) }, () => step(random)).join('/'),
  (random) => 'flip/'.repeat(oneOf(random, counts)),
  (random) => `resize:${','.repeat(oneOf(random, counts))}`,
  (random) => `convolve:${'1;'.repeat(oneOf(random, counts))}`,
  (random) => `resize:${Array.from({ length: oneOf(random, counts) }, () => 'width=1').join(',')}`,
  (random) => 'preset:'.repeat(oneOf(random, counts)),
  (random) => `${'output:'.repeat(oneOf(random, counts))}quality=1`,
  (random) => oneOf(random, ['[', '(', '{', '<', '"', "'", '{"a":']).repeat(oneOf(random, counts)),
  (random) => `text:${'x'.repeat(oneOf(random, lengths))}`,
  (random) => `${oneOf(random, ['/', ':', ',', '=', ';', 'a'])}`.repeat(oneOf(random, lengths)),
  (random) => oneOf(random, patterns)(oneOf(random, lengths)),
  (random) => `${oneOf(random, names)}:${oneOf(random, patterns)(oneOf(random, lengths))}`,
  (random) => `resize:${oneOf(random, numbers)}x${oneOf(random, numbers)}`,
  (random) => oneOf(random, encodings).repeat(1 + below(random, 100)),
];

const text = (random: Random) => oneOf(random, shapes)(random);

/** As a browser writes it on the wire. */
function asPath(operations: string): string {
  return new URL(`http://x/${operations.replaceAll(/[?#\\]/g, encodeURIComponent)}`).pathname.slice(1);
}

const signedReasons: readonly ErrorReason[] = [
  'INVALID_REQUEST',
  // What can be read is looked for.
  'IMAGE_NOT_FOUND',
  // Over 8192 characters.
  'ROUTE_NOT_FOUND',
];

const inSignedUrl =
  (sign: (key: UrlKey, rest: string) => string) =>
  (random: Random, { urlKeys }: KeyedTarget): PipelinedRequest => {
    const operations = asPath(text(random)).slice(0, maxPathChars);
    const rest = `/${operations === '' ? '' : `${operations}/`}${'0'.repeat(64)}.png`;
    return { path: `/i/${sign(urlKeys.current, rest)}${rest}`, reasons: signedReasons };
  };

const inQuery = (random: Random, { keys }: KeyedTarget): PipelinedRequest => {
  const given = text(random);
  const ops = random() < 0.7 ? encodeURIComponent(given) : asPath(given);
  const more = oneOf(random, [
    '',
    '&ops=flip',
    `&quality=${oneOf(random, numbers)}`,
    '&__proto__=1',
    '&format=png',
  ]);
  return {
    method: 'POST',
    path: `/transform?ops=${ops.slice(0, maxPathChars)}${more.replaceAll(/[^!-~]/g, encodeURIComponent)}`,
    headers: [`x-api-key: ${keys.owner}`],
    body: 'no image',
    // What can be read is tried on the body.
    reasons: ['INVALID_REQUEST', 'NOT_AN_IMAGE'],
  };
};

/** `sign` makes the signature of a path. */
export function operationKinds(sign: (key: UrlKey, rest: string) => string): readonly Kind<KeyedTarget>[] {
  return [
    pipelined('operations at their limits in signed URLs', inSignedUrl(sign)),
    pipelined('operations at their limits in POST /transform', inQuery),
  ];
}
