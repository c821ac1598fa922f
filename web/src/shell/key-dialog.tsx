/** Asks for the API key. It is kept for this tab only. */
import { useEffect, useRef } from 'preact/hooks';
import type { ApiKey } from '../mesh/api-key.ts';

export function KeyDialog({ apiKey }: { apiKey: ApiKey }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  const isOpen = apiKey.isWanted.value;
  useEffect(() => {
    if (isOpen) dialog.current?.showModal();
    else dialog.current?.close();
  }, [isOpen]);
  const close = () => {
    // Also told when a key was set.
    if (apiKey.isWanted.value) apiKey.decline();
  };
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="key-title" onClose={close}>
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          apiKey.set(input.current?.value.trim() ?? '');
        }}
      >
        <h2 id="key-title">API key</h2>
        <p class="soft">Sent with every call as a bearer token. Kept in this tab until it is closed.</p>
        <input
          ref={input}
          class="field wide"
          type="password"
          aria-label="API key"
          autocomplete="off"
          defaultValue={apiKey.current.value}
        />
        <div class="dialog-actions">
          <button type="button" class="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="button primary">
            Use key
          </button>
        </div>
      </form>
    </dialog>
  );
}
