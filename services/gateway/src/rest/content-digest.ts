/** The digest that a client says its body has: `Content-Digest: sha-256=:…:` (RFC 9530). */
import { invalidField } from '@imagemesh/rpc';

const field = 'content-digest';
const maxChars = 1024;
/** 32 bytes in base64 between colons, as structured fields write bytes. */
const pattern = /^sha-256=:([A-Za-z0-9+/]{43}=):$/;

/** SHA-256 in hexadecimal; undefined without the header. Other algorithms beside it are passed over. */
export function readContentDigest(header: string | readonly string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  const text = typeof header === 'string' ? header : header.join(',');
  const entries = text
    .slice(0, maxChars)
    .split(',')
    .map((entry) => entry.trim());
  const [, base64] = entries.map((entry) => pattern.exec(entry)).find((match) => match !== null) ?? [];
  if (base64 !== undefined) return Buffer.from(base64, 'base64').toString('hex');
  throw invalidField(field, 'must hold a sha-256, written sha-256=:BASE64:');
}
