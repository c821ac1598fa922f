/** One POST: no redirects, no kept connections, nothing read but the status. */
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { LookupFunction } from 'node:net';

export interface WebhookPost {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly lookup: LookupFunction;
  /** Ends it. */
  readonly signal: AbortSignal;
}

const maxHeaderBytes = 16 * 1024;

/** The status; rejects when there is none. */
export function sendWebhook({ url, headers, body, lookup, signal }: WebhookPost): Promise<number> {
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  return new Promise((resolve, reject) => {
    const sending = request(url, {
      method: 'POST',
      headers: { ...headers, 'content-length': String(body.byteLength) },
      agent: false,
      maxHeaderSize: maxHeaderBytes,
      lookup,
      signal,
    });
    sending.on('response', ({ statusCode = 0 }) => {
      resolve(statusCode);
      sending.destroy();
    });
    sending.on('error', reject);
    // After an answer that is none, such as another protocol.
    sending.on('close', () => reject(new Error('it did not answer')));
    sending.end(body);
  });
}
