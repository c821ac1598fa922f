import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { Format, ImageUrls, OperationSchema, OutputSchema } from '@imagemesh/api';
import { describe, expect, it } from 'vitest';
import { imageUrl } from './image-url.ts';

const imageId = '0'.repeat(64);
const result = { format: Format.PNG, width: 80, height: 60 };

function call(operations: readonly JsonValue[], output: JsonValue = {}) {
  return {
    origin: 'http://127.0.0.1:8080',
    imageId,
    operations: operations.map((each) => fromJson(OperationSchema, each)),
    output: fromJson(OutputSchema, output),
    result,
    imageUrls: ImageUrls.UNSAFE as ImageUrls,
    hasKey: false,
  };
}

describe('the address for <img>', () => {
  it('has the pipeline, what of the encoding the extension does not say, and the size', () => {
    const url = imageUrl(
      call([{ resize: { width: 80 } }, { text: { text: `it's "50%"` } }], {
        format: 'FORMAT_PNG',
        effort: 3,
      }),
    );
    expect(url).toEqual({
      kind: 'html',
      html: `<img src="http://127.0.0.1:8080/i/unsafe/resize:80x/text:it%27s%20%2250%25%22/output:effort=3/${imageId}.png" width="80" height="60" alt="">`,
      sign: undefined,
    });
  });

  it("only encodes anew without operations, in the source's format or the best that the browser takes", () => {
    const html = (output: JsonValue) => imageUrl(call([], output));
    expect(html({})).toMatchObject({ html: expect.stringContaining(`/i/unsafe/${imageId}.png"`) });
    expect(html({ format: 'FORMAT_AUTO' })).toMatchObject({
      html: expect.stringContaining(`/i/unsafe/${imageId}.auto"`),
    });
  });

  it.each([
    ['the gateway wants one', { imageUrls: ImageUrls.SIGNED }],
    ['the image belongs to a key', { hasKey: true }],
  ])('leaves room for a signature where %s, and says how to make it', (_, how) => {
    expect(imageUrl({ ...call([{ resize: { width: 80 } }]), ...how })).toMatchObject({
      html: expect.stringContaining(`/i/SIGNATURE/resize:80x/${imageId}.png"`),
      sign: `npm run -s sign -- ${imageId} 'resize:80x' --format png --base http://127.0.0.1:8080`,
    });
  });

  it('says why there is none', () => {
    const none = { ...call([]), imageUrls: ImageUrls.NONE };
    expect(imageUrl(none)).toMatchObject({ kind: 'none', why: expect.stringContaining('SIGNING_KEYS_FILE') });
    const long = call([{ text: { text: 'ä'.repeat(1000) } }]);
    expect(imageUrl(long)).toMatchObject({ kind: 'none', why: expect.stringContaining('too long') });
  });
});
