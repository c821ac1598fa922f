import { getOption, toJson } from '@bufbuild/protobuf';
import {
  CreateJobRequestSchema,
  Format,
  OperationSchema,
  OutputSchema,
  operation,
  WorkerKind,
} from '@imagemesh/api';
import { MeshError } from '@imagemesh/rpc';
import { expect, test } from 'vitest';
import { parseOperations } from '../syntax/parse-operations.ts';
import { type FormKind, formToJob } from './job-form.ts';

const image = 'ab'.repeat(32);

const formKinds: readonly FormKind[] = ['resize', 'crop'];

const variant = (kind: FormKind, fields: Record<string, string>) => {
  const request = toJson(
    CreateJobRequestSchema,
    formToJob(kind, new Map(Object.entries({ image, ...fields }))),
  );
  expect(request).toMatchObject({ source: { imageId: image } });
  // A parse boundary: CreateJobRequest in JSON.
  return (request as { variants: unknown[] }).variants[0];
};

function violation(kind: FormKind, fields: Record<string, string>): string {
  try {
    formToJob(kind, new Map(Object.entries(fields)));
  } catch (error) {
    if (error instanceof MeshError && error.reason === 'INVALID_REQUEST') {
      return `${error.violations[0]?.field}: ${error.violations[0]?.description}`;
    }
    throw error;
  }
  throw new Error('it was accepted');
}

test('a form of each kind is the operation that it names', () => {
  expect(variant('resize', { width: '800', height: '600' })).toEqual({
    operations: [{ resize: { width: 800, height: 600 } }],
    output: {},
  });
  expect(
    variant('resize', { width: ' 800 ', height: '', fit: 'cover', format: 'jpg', quality: '80' }),
  ).toEqual({
    operations: [{ resize: { width: 800, fit: 'FIT_COVER' } }],
    output: { format: 'FORMAT_JPEG', quality: 80 },
  });
  expect(variant('crop', { left: '0', top: '5', width: '10', height: '20' })).toEqual({
    operations: [{ crop: { left: 0, top: 5, width: 10, height: 20 } }],
    output: {},
  });
  expect(variant('filter', { filter: 'blur' })).toEqual({ operations: [{ blur: {} }], output: {} });
  expect(variant('filter', { filter: 'Gaussian-Blur', sigma: '1.5' })).toEqual({
    operations: [{ gaussianBlur: { sigma: 1.5 } }],
    output: {},
  });
  expect(variant('filter', { filter: 'edges', l2_gradient: 'true', low_threshold: '50' })).toEqual({
    operations: [{ edges: { l2Gradient: true, lowThreshold: 50 } }],
    output: {},
  });
  expect(variant('filter', { filter: 'grayscale', format: 'auto', accept: 'webp,png' })).toEqual({
    operations: [{ grayscale: {} }],
    output: { format: 'FORMAT_AUTO', accept: ['FORMAT_WEBP', 'FORMAT_PNG'] },
  });
});

test('lists of numbers are written with commas', () => {
  const fields = new Map([
    ['image', image],
    ['filter', 'convolve'],
    ['kernel', '0, -1, 0, -1, 5, -1, 0, -1, 0'],
  ]);
  expect(formToJob('filter', fields).variants[0]?.operations[0]?.operation).toMatchObject({
    case: 'convolve',
    value: { kernel: [0, -1, 0, -1, 5, -1, 0, -1, 0] },
  });
});

test('every parameter of every form is a field of it', () => {
  const forms = OperationSchema.fields.flatMap((field) => {
    if (field.message === undefined) return [];
    const { workers } = getOption(field.message, operation);
    const isFilter = workers.length === 1 && workers[0] === WorkerKind.FILTER;
    const kind = isFilter ? 'filter' : formKinds.find((kind) => kind === field.name);
    const base: Record<string, string> = isFilter ? { filter: field.name } : { width: '1' };
    return kind === undefined
      ? []
      : [{ kind, base, parameters: field.message.fields.map(({ name }) => name) }];
  });
  expect(forms.length).toBeGreaterThanOrEqual(24);
  // The value of no field: what is wrong with it is said by the field's name.
  for (const { kind, base, parameters } of forms) {
    for (const name of parameters) {
      const said = violation(kind, { image, ...base, [name]: '\u0000?' });
      expect(said, `${base.filter ?? kind}.${name}`).toMatch(new RegExp(`^${name}: (?!is not known)`));
    }
  }
  for (const { name } of OutputSchema.fields) {
    for (const field of [name, `output.${name}`]) {
      const said = violation('filter', { image, filter: 'blur', [field]: '\u0000?' });
      expect(said, field).toMatch(new RegExp(`${name}[^:]*: (?!is not known)`));
    }
  }
});

test("a name that both have is the operation's, unless it says otherwise", () => {
  const contain = { width: '8', height: '8', fit: 'contain', background: '#112233' };
  expect(variant('resize', { ...contain, 'output.background': '#445566', 'output.format': 'jpg' })).toEqual({
    operations: [{ resize: { width: 8, height: 8, fit: 'FIT_CONTAIN', background: '#112233' } }],
    output: { format: 'FORMAT_JPEG', background: '#445566' },
  });
});

test('choices are named without what all of them begin with', () => {
  expect(
    variant('resize', {
      percent: '50',
      kernel: 'mitchell',
      chroma_subsampling: '444',
      target_bytes: '5000',
      color: 'keep',
    }),
  ).toEqual({
    operations: [{ resize: { percent: 50, kernel: 'KERNEL_MITCHELL' } }],
    output: { chromaSubsampling: 'CHROMA_SUBSAMPLING_444', targetBytes: '5000', color: 'COLOR_POLICY_KEEP' },
  });
  expect(violation('resize', { image, width: '1', chroma_subsampling: '411' })).toContain(
    'must be one of 420, 444',
  );
});

test('a request_id comes along', () => {
  expect(
    formToJob(
      'filter',
      new Map([
        ['image', image],
        ['filter', 'blur'],
        ['request_id', 'a-1'],
      ]),
    ).requestId,
  ).toBe('a-1');
});

test('a webhook_url comes along, to be checked as in CreateJob; one that is too long is not taken', () => {
  const form = { image, width: '8', webhook_url: 'https://example.org/hook' };
  expect(formToJob('resize', new Map(Object.entries(form))).webhookUrl).toBe('https://example.org/hook');
  const long = `https://example.org/${'a'.repeat(2048)}`;
  expect(violation('resize', { ...form, webhook_url: long })).toContain('webhook_url: ');
});

test('what is wrong is named', () => {
  expect(violation('resize', { width: '800' })).toContain('image: must be the id');
  expect(violation('resize', { image: 'cat.jpg', width: '800' })).toContain('image: must be an image id');
  expect(violation('resize', { image })).toContain('width, height or both, or percent must be given');
  expect(violation('resize', { image, width: '0' })).toContain('width: ');
  expect(violation('resize', { image, width: '-5' })).toContain('width: ');
  expect(violation('resize', { image, width: '99999999999999' })).toContain('width: must be a whole number');
  expect(violation('resize', { image, width: '8e2' })).toContain('width: must be a whole number');
  expect(violation('resize', { image, width: '8', fit: 'stretch' })).toContain(
    'fit: must be one of fill, cover',
  );
  expect(violation('resize', { image, width: '8', colour: 'red' })).toContain(
    'colour: is not known; known are image, preset, request_id, webhook_url, width',
  );
  expect(violation('resize', { image, width: '8', colour: 'red' })).toContain(', output.background, ');
  expect(violation('crop', { image, left: '1', gravity: 'top' })).toContain('only one of');
  expect(violation('crop', { image })).toMatch(
    /^width: what to cut out must be given: one of left, top, width, height, /,
  );
  expect(violation('crop', { image, format: 'png', width: ' ' })).toContain('what to cut out must be given');
  expect(violation('filter', { image, filter: 'convolve', kernel: '1,two' })).toContain(
    'kernel: must be a number',
  );
  expect(violation('filter', { image })).toContain('filter: must be one of blur, gaussian_blur');
  expect(violation('filter', { image, filter: 'resize', width: '3' })).toContain('filter: must be one of');
  expect(violation('filter', { image, filter: 'blur', size: '4' })).toContain('size: must be odd');
  expect(violation('filter', { image, filter: 'blur', quality: '1000' })).toContain('quality');
  expect(violation('filter', { image, filter: 'blur', request_id: 'no good' })).toContain('request_id');
});

test('a preset stands alone or follows the operation of the form, whose output counts over its own', () => {
  const thumb = parseOperations('resize:10x10,cover/output:webp,quality=70');
  const find = (name: string) => (name === 'thumb' ? thumb : undefined);
  const stepsOf = (kind: FormKind, fields: Record<string, string>) => {
    const job = formToJob(kind, new Map(Object.entries({ image, preset: 'thumb', ...fields })), find);
    const [variant] = job.variants;
    return [
      variant?.operations.map(({ operation }) => operation.case),
      variant?.output?.format,
      variant?.output?.quality,
    ];
  };
  expect(stepsOf('filter', {})).toEqual([['resize'], Format.WEBP, 70]);
  expect(stepsOf('resize', {})).toEqual([['resize'], Format.WEBP, 70]);
  expect(stepsOf('crop', { width: '5', quality: '50' })).toEqual([['crop', 'resize'], Format.WEBP, 50]);
  expect(stepsOf('filter', { filter: 'invert', format: 'png' })).toEqual([
    ['invert', 'resize'],
    Format.PNG,
    70,
  ]);
  expect(() => stepsOf('filter', { preset: 'constructor' })).toThrow('preset: is no preset of this mesh');
});
