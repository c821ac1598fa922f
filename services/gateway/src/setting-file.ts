/** What a file of settings says, now. Read again when the file changes; one that cannot be read changes nothing. */
import { followFiles, type Logger } from '@imagemesh/observe';

export interface SettingFile<Value> {
  readonly current: Value;
  close(): void;
}

/** What whoever opens such a file says, whatever is in it. */
export interface FollowSettings {
  readonly log: Logger;
  /** As of followFiles. */
  readonly everyMs?: number;
}

export interface SettingFileOptions<Value> extends FollowSettings {
  /** Reads and checks the file; gets what held before. Throws ConfigError. */
  readonly load: (path: string, before: Value | undefined) => Promise<Value>;
  /** What the file has, for the log: "API keys". */
  readonly name: string;
}

/** Throws what `load` throws at first; later that is a line in the log. */
export async function openSettingFile<Value>(
  path: string,
  { load, name, log, ...often }: SettingFileOptions<Value>,
): Promise<SettingFile<Value>> {
  let current = await load(path, undefined);
  const followed = followFiles([path], {
    ...often,
    async onChange() {
      current = await load(path, current);
      log.info({ path }, `${name} read again`);
    },
    onError: (error) => log.error({ err: error, path }, `${name} not read again; those before hold`),
  });
  return {
    get current() {
      return current;
    },
    close: followed.close,
  };
}
