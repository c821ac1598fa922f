/** The digest that a caller said its bytes have. */
import { MeshError } from '@imagemesh/rpc';

/** DIGEST_MISMATCH where one was expected and it is another. */
export function checkDigest(digest: string, expected: string | undefined): void {
  if (expected === undefined || expected === digest) return;
  throw new MeshError('DIGEST_MISMATCH', `the bytes have SHA-256 ${digest}, not ${expected}`, {
    metadata: { sha256: digest, expectedSha256: expected },
  });
}
