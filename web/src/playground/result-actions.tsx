/** Takes the result along: as a file, as code, as a link. */
import { useRef } from 'preact/hooks';
import { formatNames } from '../mesh/names.ts';
import { CopyButton } from '../ui/copy-button.tsx';
import { Icon } from '../ui/icon.tsx';
import { CopyAsDialog } from './copy-as-dialog.tsx';
import type { PlaygroundState } from './playground-state.ts';
import type { Result } from './run.ts';
import type { Source } from './source.ts';

interface ResultActionsProps {
  readonly playground: PlaygroundState;
  readonly source: Source;
  readonly result: Result | undefined;
}

export function ResultActions({ playground, source, result }: ResultActionsProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const resultName = `${source.name.replace(/\.[^.]*$/, '')}-result.${formatNames(result?.info.format ?? 0).extension}`;
  return (
    <div class="actions">
      <button
        type="button"
        class="button primary"
        disabled={result === undefined}
        onClick={() => result && save(result.blob, resultName)}
      >
        <Icon name="download" /> Download
      </button>
      <button
        type="button"
        class="button"
        disabled={result === undefined}
        onClick={() => dialog.current?.showModal()}
      >
        <Icon name="copy" /> Copy as…
      </button>
      <CopyButton label="Copy link" text={() => window.location.href} />
      {result && <CopyAsDialog dialog={dialog} {...{ playground, source, result, resultName }} />}
    </div>
  );
}

function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
