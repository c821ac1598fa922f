/**
 * POST /upload: stores an image, from a multipart form's field `image` or as the raw body, which `Content-Digest` and
 * `?filename=` may go with.
 */
import { timestampDate } from '@bufbuild/protobuf/wkt';
import type { Image } from '@imagemesh/api';
import { invalidField } from '@imagemesh/rpc';
import type { StoreImage } from '../store-image.ts';
import { readContentDigest } from './content-digest.ts';
import { maxFilenameChars, mediaType, readForm } from './form.ts';
import { formatName } from './format-name.ts';
import { type Route, sendJson } from './route.ts';

export function uploadRoute(storeImage: StoreImage): Route {
  return {
    method: 'POST',
    pattern: /^\/upload$/,
    name: '/upload',
    access: 'upload',
    async serve(call) {
      const { request, response, signal, url } = call;
      const sha256 = readContentDigest(request.headers['content-digest']);
      let image: Image | undefined;
      if (mediaType(request) === 'multipart/form-data') {
        if (sha256 !== undefined) throw invalidField('content-digest', 'is for raw bodies, not for forms');
        await readForm(request, signal, async (bytes, filename) => {
          image = await storeImage(call, bytes, { filename });
          return image.id;
        });
        if (image === undefined) throw invalidField('image', 'is required: a file');
      } else {
        const length = Number(request.headers['content-length'] ?? Number.NaN);
        image = await storeImage(call, request.iterator({ destroyOnReturn: false }), {
          ...(Number.isSafeInteger(length) && { sizeBytes: length }),
          sha256,
          filename: url.searchParams.get('filename')?.slice(0, maxFilenameChars),
        });
      }
      sendJson(response, 201, toJson(image), { location: `/images/${image.id}` });
    },
  };
}

function toJson({ id, info, filename, createTime }: Image) {
  return {
    image_id: id,
    format: formatName(info?.format),
    width: info?.width,
    height: info?.height,
    size_bytes: Number(info?.sizeBytes ?? 0n),
    ...(filename !== '' && { filename }),
    ...(createTime !== undefined && { create_time: timestampDate(createTime).toISOString() }),
  };
}
