/** Files that are not jobs yet. */
import { bytesText } from '../ui/format.ts';
import { Icon } from '../ui/icon.tsx';
import { UploadBar } from '../ui/upload-bar.tsx';
import type { Batch, BatchFile } from './batch.ts';

export function BatchList({ batch }: { batch: Batch }) {
  const files = batch.files.value;
  const held = batch.held.value;
  if (files.length === 0) return null;
  const shown = files.filter(({ state }) => state.kind !== 'waiting');
  const failed = files.filter(({ state }) => state.kind === 'failed');
  const waiting = files.length - shown.length;
  return (
    <>
      {(waiting > 0 || failed.length > 1) && (
        <div class="panel-head">
          <p class="soft" role="status">
            {waiting > 0 && `${waiting} ${waiting === 1 ? 'file waits' : 'files wait'}`}
            {held !== undefined && `: ${held.message} They are sent as soon as that passes.`}
          </p>
          {failed.length > 1 && (
            <button
              type="button"
              class="button small"
              onClick={() => {
                for (const { id } of failed) batch.dismiss(id);
              }}
            >
              Dismiss {failed.length} refused files
            </button>
          )}
        </div>
      )}
      <ul class="batch" aria-label="Files on their way">
        {shown.map((file) => (
          <BatchRow key={file.id} file={file} batch={batch} />
        ))}
      </ul>
    </>
  );
}

function BatchRow({ file, batch }: { file: BatchFile; batch: Batch }) {
  const { id, name, sizeBytes, state } = file;
  return (
    <li class="card batch-file" data-state={state.kind}>
      <span class="ellipsis">{name}</span>
      <span class="soft">{state.kind === 'sending' ? 'is sent' : bytesText(sizeBytes)}</span>
      {state.kind === 'sending' && state.upload && <UploadBar upload={state.upload} />}
      {state.kind === 'failed' && (
        <>
          <p class="bad" role="alert">
            <strong class="mono">{state.failure.reason}</strong> {state.failure.message}
          </p>
          <button
            type="button"
            class="button small"
            aria-label={`Try ${name} again`}
            onClick={() => batch.retry(id)}
          >
            Try again
          </button>
          <button
            type="button"
            class="icon-button tiny"
            aria-label={`Dismiss ${name}`}
            onClick={() => batch.dismiss(id)}
          >
            <Icon name="close" />
          </button>
        </>
      )}
    </li>
  );
}
