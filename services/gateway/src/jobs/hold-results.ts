/** When results of jobs were made, and how long their owners hold them. */
import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { ImageSchema } from '@imagemesh/api';
import type { RunVariant } from './run.ts';

export interface HoldOptions {
  /** Undefined: until they are deleted. */
  readonly ttlMs: number | undefined;
  readonly now?: () => number;
}

export function holdResults(runVariant: RunVariant, { ttlMs, now = Date.now }: HoldOptions): RunVariant {
  return async (call, source, variant) => {
    const image = await runVariant(call, source, variant);
    const nowMs = now();
    return create(ImageSchema, {
      ...image,
      createTime: timestampFromMs(nowMs),
      ...(ttlMs !== undefined && { expireTime: timestampFromMs(nowMs + ttlMs) }),
    });
  };
}
