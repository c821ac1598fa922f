/** The image worked on, and how another is taken. */

import { FilePicker } from '../ui/file-picker.tsx';
import { bytesText } from '../ui/format.ts';
import { UploadBar } from '../ui/upload-bar.tsx';
import type { PlaygroundState } from './playground-state.ts';

export function SourcePanel({
  playground,
  onFiles,
}: {
  playground: PlaygroundState;
  onFiles: (files: readonly File[]) => void;
}) {
  const { value: state } = playground.source.state;
  const upload = playground.upload.value;
  return (
    <section aria-labelledby="source-title">
      <h2 id="source-title">Image</h2>
      <div class="card source">
        <div class="source-text">
          {state.kind === 'ready' ? (
            <>
              <strong class="ellipsis" title={state.source.name}>
                {state.source.name}
              </strong>
              <span class="soft">
                {state.source.picture
                  ? `${state.source.picture.width} × ${state.source.picture.height} · `
                  : ''}
                {bytesText(state.source.bytes.length)}
              </span>
            </>
          ) : (
            <span class="soft">{state.kind === 'loading' ? 'Loading the sample…' : state.message}</span>
          )}
        </div>
        <FilePicker label="Image file" onFiles={onFiles}>
          Open…
        </FilePicker>
        {upload && upload.state.value.kind !== 'failed' && <UploadBar upload={upload} />}
        {upload?.state.value.kind === 'failed' && upload.state.value.failure?.kind === 'offline' && (
          <UploadBar upload={upload} />
        )}
      </div>
    </section>
  );
}
