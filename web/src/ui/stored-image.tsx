/** An image that the mesh holds. With a key it is fetched, as <img> carries none. */
import { useEffect, useState } from 'preact/hooks';
import type { Clients } from '../mesh/clients.ts';

interface StoredImageProps {
  readonly clients: Clients;
  readonly imageId: string;
  readonly alt: string;
  readonly hasKey: boolean;
}

export function StoredImage({ clients, imageId, alt, hasKey }: StoredImageProps) {
  const path = `/images/${imageId}`;
  const [fetched, setFetched] = useState<string | undefined>(undefined);
  const [isBroken, setBroken] = useState(false);
  useEffect(() => {
    if (!hasKey) return;
    const leaving = new AbortController();
    let url: string | undefined;
    clients
      .get(path, leaving.signal)
      .then((response) => (response.ok ? response.blob() : Promise.reject(new Error(response.statusText))))
      .then((blob) => {
        if (leaving.signal.aborted) return;
        url = URL.createObjectURL(blob);
        setFetched(url);
      })
      .catch(() => setBroken(!leaving.signal.aborted));
    return () => {
      leaving.abort();
      if (url !== undefined) URL.revokeObjectURL(url);
    };
  }, [clients, path, hasKey]);
  const src = hasKey ? fetched : path;
  if (isBroken) return <span class="no-image soft">no preview</span>;
  return src === undefined ? (
    <span class="no-image" />
  ) : (
    <img src={src} alt={alt} loading="lazy" decoding="async" onError={() => setBroken(true)} />
  );
}
