/** The result as an <img>: of an image that the mesh keeps, by a URL that it answers. */
import { useState } from 'preact/hooks';
import { type Failure, toFailure } from '../mesh/failure.ts';
import { FailureNote } from '../ui/failure-note.tsx';
import { Snippet } from '../ui/snippet.tsx';
import { imageUrl } from './image-url.ts';
import type { PlaygroundState } from './playground-state.ts';
import type { Result } from './run.ts';
import type { Source } from './source.ts';

interface ImageUrlPanelProps {
  readonly playground: PlaygroundState;
  readonly source: Source;
  readonly result: Result;
}

export function ImageUrlPanel({ playground, source, result }: ImageUrlPanelProps) {
  const { value: known } = playground.catalogue.state;
  if (known.kind !== 'ready') return null;
  if (source.imageId === undefined) return <KeepImage playground={playground} />;
  const { operations, output, info } = result;
  const url = imageUrl({
    origin: window.location.origin,
    imageId: source.imageId,
    operations,
    output,
    result: info,
    imageUrls: known.imageUrls,
    hasKey: playground.hasKey.value,
  });
  if (url.kind === 'none') return <p class="note">{url.why}</p>;
  return (
    <>
      <Snippet text={url.html} />
      {url.sign !== undefined && (
        <>
          <p class="soft">
            This gateway wants a signature, made with a key of its file. This prints the address with one:
          </p>
          <Snippet text={url.sign} />
        </>
      )}
    </>
  );
}

/** A URL names a stored image; a small one has travelled in the call alone so far. */
function KeepImage({ playground }: { playground: PlaygroundState }) {
  const [isBusy, setBusy] = useState(false);
  const [failure, setFailure] = useState<Failure | undefined>(undefined);
  const keep = async () => {
    setBusy(true);
    setFailure(undefined);
    try {
      await playground.keepSource();
    } catch (error) {
      setFailure(toFailure(error));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <p class="soft">A URL shows an image that the mesh keeps. This one has only been sent along so far.</p>
      {failure && <FailureNote failure={failure} />}
      <div class="dialog-actions">
        <button type="button" class="button primary" disabled={isBusy} onClick={keep}>
          {isBusy ? 'Uploading…' : 'Upload the image'}
        </button>
      </div>
    </>
  );
}
