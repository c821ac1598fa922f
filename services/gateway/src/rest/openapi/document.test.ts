import { Validator } from '@seriousme/openapi-schema-validator';
import { expect, it } from 'vitest';
import { restRoutes } from '../routes.ts';
import { openApiDocument } from './document.ts';

// Nothing of them is called when the routes are made.
const routes = restRoutes({} as never);

it('is valid OpenAPI 3.1', async () => {
  const result = await new Validator().validate(JSON.parse(JSON.stringify(openApiDocument())));
  expect(result).toEqual({ valid: true });
});

it('describes every route and no other', () => {
  const described = Object.entries(openApiDocument().paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(described.sort()).toEqual(routes.map(({ method, name }) => `${method} ${name}`).sort());
});

it('has the parameters of a path in the path', () => {
  for (const [path, methods] of Object.entries(openApiDocument().paths)) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
    for (const { parameters = [] } of Object.values(methods)) {
      const declared = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
      expect(declared.sort(), path).toEqual(named.sort());
    }
  }
});

it('asks for a key where the routes do', () => {
  for (const { method, name, access } of routes) {
    const described = openApiDocument().paths[name]?.[method.toLowerCase()];
    expect(described?.security === undefined, name).toBe(access !== 'open');
  }
});

it('takes the fields of the descriptors', () => {
  const form = JSON.stringify(openApiDocument().paths['/resize']);
  for (const field of ['without_enlargement', 'target_bytes', 'preset', '"maximum":65535'])
    expect(form).toContain(field);
});
