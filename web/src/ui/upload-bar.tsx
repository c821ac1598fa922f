/** How far an upload has come, with pause and retry. */
import type { Upload } from '../mesh/upload.ts';
import { bytesText } from './format.ts';
import { Icon } from './icon.tsx';

const words = {
  sending: 'Uploading',
  paused: 'Paused',
  waiting: 'Connection lost, trying again',
  failed: 'Upload failed',
  done: 'Stored',
} as const;

export function UploadBar({ upload }: { upload: Upload }) {
  const { kind, sentBytes, totalBytes, failure } = upload.state.value;
  const isIdle =
    kind === 'paused' || kind === 'waiting' || (kind === 'failed' && failure?.kind === 'offline');
  return (
    <div class="upload" data-state={kind}>
      <progress max={totalBytes} value={sentBytes} aria-label="Upload" />
      <span class="upload-text" role="status">
        {words[kind]} · {bytesText(sentBytes)} of {bytesText(totalBytes)}
      </span>
      {kind === 'sending' && (
        <button type="button" class="icon-button tiny" aria-label="Pause the upload" onClick={upload.pause}>
          <Icon name="pause" />
        </button>
      )}
      {isIdle && (
        <button
          type="button"
          class="icon-button tiny"
          aria-label={kind === 'paused' ? 'Resume the upload' : 'Retry the upload'}
          onClick={upload.resume}
        >
          <Icon name={kind === 'paused' ? 'play' : 'retry'} />
        </button>
      )}
    </div>
  );
}
