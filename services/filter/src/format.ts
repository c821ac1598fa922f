/** Has the thread that keeps the pixels encode them, or hand them out for the next stage, and gives it back. */
import type { Formatted, Work, WorkCall } from '@imagemesh/worker';
import type { Picture } from './process.ts';

export async function format(picture: Picture, { result }: Work, call: WorkCall): Promise<Formatted> {
  try {
    const reply = await picture.ask({
      kind: 'format',
      output: result.kind === 'encoded' ? result.output : undefined,
      alternative: result.kind === 'encoded' ? result.alternative : undefined,
      limits: call.limits,
      timeoutMs: call.remainingMs(),
    });
    switch (reply.kind) {
      case 'encoded':
        return {
          bytes: reply.bytes,
          content: { case: 'encoded', value: reply.info },
          encoding: reply.encoding,
        };
      case 'pixels':
        return { bytes: reply.bytes, content: { case: 'pixels', value: reply.content } };
      default:
        throw new Error(`the filter thread answered "format" with "${reply.kind}"`);
    }
  } finally {
    await picture.release();
  }
}
