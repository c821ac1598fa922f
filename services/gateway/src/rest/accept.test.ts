import { Format } from '@imagemesh/api';
import { expect, it } from 'vitest';
import { acceptedFormats } from './accept.ts';

const { JPEG, PNG, WEBP, AVIF, GIF } = Format;

it.each([
  [undefined, [JPEG, PNG, GIF]],
  ['*/*', [JPEG, PNG, GIF]],
  ['image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8', [JPEG, PNG, WEBP, AVIF, GIF]],
  ['image/webp;q=0, */*', [JPEG, PNG, GIF]],
  ['Image/WebP', [WEBP]],
  ['text/html', [JPEG, PNG, GIF]],
])('takes %s for %j', (header, formats) => {
  expect(acceptedFormats(header)).toEqual(formats);
});
