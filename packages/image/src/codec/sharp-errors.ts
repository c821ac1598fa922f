/** The one translator of what sharp and libvips throw. */
import { deadlineExceeded, MeshError } from '@imagemesh/rpc';

/** Whose fault an error of libvips is that could be anybody's: bytes of strangers, or pixels of our own. */
export type SourceKind = 'encoded' | 'pixels';

/** Any error of a sharp pipeline as a MeshError: DAMAGED_IMAGE for bytes that do not decode. */
export function translateSharpError(error: unknown, source: SourceKind = 'encoded'): MeshError {
  if (error instanceof MeshError) return error;
  const message = error instanceof Error ? error.message : String(error);
  if (/timeout: \d+% complete/.test(message)) return deadlineExceeded();
  if (/exceeds (pixel|channel) limit/.test(message)) {
    return new MeshError('TOO_MANY_PIXELS', 'the image has more pixels than its header says', {
      cause: error,
    });
  }
  if (
    /too large for the|exceeds .*dimension|maximum .*dimension|Processed image is too large/i.test(message)
  ) {
    return new MeshError('OUTPUT_TOO_LARGE', 'the result has longer sides than its format can hold', {
      cause: error,
    });
  }
  if (source === 'encoded' && isDecodeFailure(message)) {
    return new MeshError('DAMAGED_IMAGE', `the image does not decode: ${publicReason(message)}`, {
      cause: error,
    });
  }
  return new MeshError('INTERNAL', 'something went wrong inside', { cause: error });
}

/**
 * libvips begins its messages with the name of the operation or library that failed, or says nothing at all (interlaced
 * PNGs with broken rows).
 */
function isDecodeFailure(message: string): boolean {
  return /^Input (buffer|file)|^Unknown error|load|^Vips(Jpeg|Png|Foreign|Image|Icc)|no known route from|^vips2?(jpeg|png)|spng|libpng|^source: |^jpeg|^png|webp|heif|avif|gif|tiff|premature end|corrupt|truncated|unexpected end|not in a known format/im.test(
    message,
  );
}

/** The first line, without the names of things inside. */
function publicReason(message: string): string {
  const [line = ''] = message.split('\n').filter((part) => part.trim() !== '');
  return line
    .replace(/^Input (buffer|file) (has corrupt header: )?/, '')
    .replace(/^(\w+): /, '')
    .replace(/^Unknown error/, 'its data are broken')
    .trim()
    .slice(0, 200);
}
