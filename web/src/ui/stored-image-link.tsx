/** Opens an image that the mesh holds in a tab of its own. With a key it is fetched first, as a link carries none. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { Clients } from '../mesh/clients.ts';

interface StoredImageLinkProps {
  readonly clients: Clients;
  readonly imageId: string;
  readonly hasKey: boolean;
  readonly children: ComponentChildren;
}

/** So long a tab has to read what was fetched for it. */
const readMs = 60_000;

export function StoredImageLink({ clients, imageId, hasKey, children }: StoredImageLinkProps) {
  const [isRefused, setRefused] = useState(false);
  const path = `/images/${imageId}`;

  async function openFetched(event: MouseEvent): Promise<void> {
    if (!hasKey) return;
    event.preventDefault();
    // Opened at once: after the wait the browser takes it for a pop-up.
    const tab = window.open('about:blank', '_blank');
    try {
      const response = await clients.get(path);
      if (!response.ok) throw new Error(response.statusText);
      const url = URL.createObjectURL(await response.blob());
      tab?.location.replace(url);
      setTimeout(() => URL.revokeObjectURL(url), readMs);
      setRefused(false);
    } catch {
      tab?.close();
      setRefused(true);
    }
  }

  return (
    <a href={path} target="_blank" rel="noreferrer" class="result" onClick={openFetched}>
      {children}
      {isRefused && (
        <span class="bad" role="alert">
          cannot be opened
        </span>
      )}
    </a>
  );
}
