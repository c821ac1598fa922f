import { ConfigError } from '@imagemesh/observe';
import { expect, it } from 'vitest';
import { envDocs, readConfig } from './config.ts';

it('has a default for everything', () => {
  expect(readConfig({})).toMatchObject({ replica: { slots: 1, limits: { maxFilterPixels: 40_000_000 } } });
});

it('lets the pixel limit be lowered, not raised over what the wasm heap holds', () => {
  expect(readConfig({ MAX_FILTER_PIXELS: '1000' }).replica.limits.maxFilterPixels).toBe(1000);
  expect(() => readConfig({ MAX_FILTER_PIXELS: '40000001' })).toThrow(ConfigError);
  expect(() => readConfig({ MAX_FILTER_PIXELS: '40000001' })).toThrow(/MAX_FILTER_PIXELS.*40000000/);
});

it('documents its variables', () => {
  expect(envDocs.map(({ name }) => name)).toContain('MAX_FILTER_PIXELS');
});
