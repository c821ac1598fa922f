/** The key that calls carry where the gateway wants one. It lives as long as the tab, nowhere else. */
import { type Signal, signal } from '@preact/signals';

const storageName = 'imagemesh.api-key';

export interface ApiKey {
  /** Empty: none. */
  readonly current: Signal<string>;
  /** A call was refused for want of a key, or of a better one. */
  readonly isWanted: Signal<boolean>;
  set(key: string): void;
  /** A call with this key was refused. Asks for another, unless that was declined, or the key has changed since. */
  refused(key: string): void;
  /** Not now: asks no more by itself until a key is set. */
  decline(): void;
}

export function createApiKey(storage: Storage): ApiKey {
  const current = signal(storage.getItem(storageName) ?? '');
  const isWanted = signal(false);
  let isDeclined = false;
  return {
    current,
    isWanted,
    set(key) {
      if (key === '') storage.removeItem(storageName);
      else storage.setItem(storageName, key);
      current.value = key;
      isWanted.value = false;
      isDeclined = false;
    },
    refused(key) {
      if (!isDeclined && key === current.value) isWanted.value = true;
    },
    decline() {
      isWanted.value = false;
      isDeclined = true;
    },
  };
}
