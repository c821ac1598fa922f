/** The HTTP side as an OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1). A test holds it to the routes. */
import { codedFormats, formatNames } from '@imagemesh/image';
import { TIMEOUT_HEADER } from '../timeout.ts';
import { formProperties, outputProperties, type Schema, schemas } from './schemas.ts';

const id = pathParameter(
  'id',
  { type: 'string', pattern: '^[0-9a-f]{64}$' },
  'The id of an image: SHA-256 of its bytes.',
);
const bytes: Schema = { type: 'string', format: 'binary' };
const imageTypes = Object.fromEntries(
  codedFormats.map((format) => [formatNames(format).mime, { schema: bytes }]),
);
const image = (description: string) => ({ description, content: imageTypes });
const json = (name: string) => ({ 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } });
const failed = { default: { description: 'What is wrong.', content: json('Error') } };

interface Parameter {
  readonly name: string;
  readonly in: string;
}

interface Described {
  readonly parameters?: readonly Parameter[];
  readonly security?: readonly object[];
  readonly responses: object;
}

export interface OpenApiDocument {
  readonly openapi: string;
  readonly info: object;
  /** By path and method. */
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly [part: string]: unknown;
}

export function openApiDocument(): OpenApiDocument {
  return {
    openapi: '3.1.1',
    info: {
      title: 'imagemesh over HTTP',
      version: '1',
      description:
        'For curl and <img>. Every unary call of imagemesh.v1 can be made as JSON, too, by the Connect protocol. ' +
        `Every request may say in the header ${TIMEOUT_HEADER} how many ms it has; DEADLINE_EXCEEDED (504) after that.`,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { apiKey: [] }, {}],
    paths: {
      '/upload': { post: upload() },
      '/transform': { post: transform() },
      '/resize': { post: job('resize', 'Changes the size of a stored image, as a job.') },
      '/crop': { post: job('crop', 'Cuts out a part of a stored image, as a job.') },
      '/filter': { post: job('filter', 'Filters a stored image, as a job.') },
      '/jobs/{id}': { get: getJob() },
      '/images/{id}': { get: getImage() },
      '/i/{signature}/{operations}/{id}.{ext}': { get: signedImage() },
      '/openapi.json': { get: document() },
    },
    components: {
      schemas,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API key.' },
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key', description: 'The same.' },
      },
    },
  };
}

function upload() {
  const form = { type: 'object', properties: { image: bytes }, required: ['image'] };
  const digest = {
    type: 'string',
    description: 'sha-256=:BASE64: of a raw body; other bytes are DIGEST_MISMATCH.',
  };
  return {
    operationId: 'upload',
    summary: 'Stores an image.',
    parameters: [
      { name: 'filename', in: 'query', schema: { type: 'string', maxLength: 255 } },
      { name: 'content-digest', in: 'header', schema: digest },
    ],
    requestBody: body({
      ...imageTypes,
      'application/octet-stream': { schema: bytes },
      'multipart/form-data': { schema: form },
    }),
    responses: { 201: { description: 'Stored.', content: json('Image') }, ...failed },
  };
}

function transform() {
  const ops = {
    type: 'string',
    maxLength: 4096,
    description: 'The steps: resize:800x600/blur:5. See docs/urls.md.',
  };
  const output = outputProperties();
  const form = { type: 'object', properties: { image: bytes, ops, ...output }, required: ['image'] };
  return {
    operationId: 'transform',
    summary: 'Answers what becomes of the image in the body.',
    parameters: Object.entries({ ops, ...output }).map(([name, schema]) => ({ name, in: 'query', schema })),
    requestBody: body({
      ...imageTypes,
      'application/octet-stream': { schema: bytes },
      'multipart/form-data': { schema: form },
    }),
    responses: { 200: image('The result.'), ...failed },
  };
}

function job(kind: 'resize' | 'crop' | 'filter', summary: string) {
  const schema = {
    type: 'object',
    properties: formProperties(kind),
    required: ['image'],
    additionalProperties: kind === 'filter',
  };
  return {
    operationId: kind,
    summary,
    requestBody: body({
      'multipart/form-data': { schema },
      'application/x-www-form-urlencoded': { schema },
      'application/json': { schema },
    }),
    responses: { 202: { description: 'Queued.', content: json('JobAccepted') }, ...failed },
  };
}

function getJob() {
  const schema = { type: 'string', pattern: '^[0-9A-HJKMNP-TV-Z]{26}$' };
  return {
    operationId: 'getJob',
    summary: 'A job as it is now.',
    parameters: [pathParameter('id', schema, 'The task_id.')],
    responses: { 200: { description: 'The job.', content: json('Job') }, ...failed },
  };
}

function getImage() {
  return {
    operationId: 'getImage',
    summary: 'The bytes of a stored image.',
    parameters: [id],
    responses: { 200: image('The image.'), ...conditional(), ...failed },
  };
}

function signedImage() {
  const extensions = ['jpg', 'jpeg', 'png', 'webp', 'avif', 'gif', 'tif', 'tiff', 'auto'];
  return {
    operationId: 'getSignedImage',
    summary: 'A result of a stored image, for whoever has the URL. The operations may be left out.',
    security: [],
    parameters: [
      pathParameter('signature', { type: 'string' }, 'KEY_ID.MAC or KEY_ID.EXPIRY.MAC. See docs/urls.md.'),
      pathParameter('operations', { type: 'string' }, 'The steps: resize:800x600/blur:5.'),
      id,
      pathParameter(
        'ext',
        { type: 'string', enum: extensions },
        'The format; auto takes what the client accepts.',
      ),
    ],
    responses: { 200: image('The result.'), ...conditional(), ...failed },
  };
}

function document() {
  const content = { 'application/json': { schema: { type: 'object' } } };
  return {
    operationId: 'getOpenApi',
    summary: 'This document.',
    security: [],
    responses: { 200: { description: 'OpenAPI 3.1.', content }, ...failed },
  };
}

function conditional() {
  return {
    206: image('The range asked for.'),
    304: { description: 'The same as If-None-Match names.' },
    416: { description: 'No byte is in that range.' },
  };
}

function body(content: Readonly<Record<string, unknown>>) {
  return { required: true, content };
}

function pathParameter(name: string, schema: Schema, description: string) {
  return { name, in: 'path', required: true, schema, description };
}
