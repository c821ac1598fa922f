/** Takes the result along: as a file, as code, as a link. */
import { useRef, useState } from 'preact/hooks';
import { formatNames } from '../mesh/names.ts';
import { Icon } from '../ui/icon.tsx';
import { EMPTY_PIPELINE, toCallJson } from './pipeline.ts';
import type { PlaygroundState } from './playground-state.ts';
import type { Result } from './run.ts';
import { SNIPPETS, type SnippetKind } from './snippets.ts';
import type { Source } from './source.ts';

interface ResultActionsProps {
  readonly playground: PlaygroundState;
  readonly source: Source;
  readonly result: Result | undefined;
}

export function ResultActions({ playground, source, result }: ResultActionsProps) {
  const [kind, setKind] = useState<SnippetKind>('curl');
  const dialog = useRef<HTMLDialogElement>(null);
  const resultName = `${source.name.replace(/\.[^.]*$/, '')}-result.${formatNames(result?.info.format ?? 0).extension}`;
  const snippet = SNIPPETS[kind].make({
    origin: window.location.origin,
    filename: source.name,
    imageId: source.imageId,
    json: toCallJson(playground.pipeline.value ?? EMPTY_PIPELINE),
    resultName,
    apiKey: playground.hasKey.value,
  });
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
      <button type="button" class="button" onClick={() => dialog.current?.showModal()}>
        <Icon name="copy" /> Copy as…
      </button>
      <CopyButton label="Copy link" text={() => window.location.href} />
      <dialog ref={dialog} class="dialog wide" aria-labelledby="copy-title">
        <div class="panel-head">
          <h2 id="copy-title">The same call elsewhere</h2>
          <button
            type="button"
            class="icon-button"
            aria-label="Close"
            onClick={() => dialog.current?.close()}
          >
            <Icon name="close" />
          </button>
        </div>
        <fieldset class="segments">
          <legend class="visually-hidden">Language</legend>
          {Object.entries(SNIPPETS).map(([key, { name }]) => (
            <label key={key}>
              {/* A parse boundary: Object.entries forgets the keys. */}
              <input
                type="radio"
                name="snippet"
                checked={key === kind}
                onChange={() => setKind(key as SnippetKind)}
              />
              <span>{name}</span>
            </label>
          ))}
        </fieldset>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys */}
        <pre class="code" tabIndex={0}>
          <code>{snippet}</code>
        </pre>
        <div class="dialog-actions">
          <CopyButton label="Copy" text={() => snippet} isPrimary />
        </div>
      </dialog>
    </div>
  );
}

const outcomeMs = 2500;
const outcomes = { copied: 'Copied', refused: 'Needs HTTPS or localhost' } as const;

/** Whether it could: browsers have no clipboard for pages that came over plain HTTP from another machine. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function CopyButton({
  label,
  text,
  isPrimary = false,
}: {
  label: string;
  text: () => string;
  isPrimary?: boolean;
}) {
  const [outcome, setOutcome] = useState<'copied' | 'refused' | undefined>(undefined);
  return (
    <button
      type="button"
      class={isPrimary ? 'button primary' : 'button'}
      onClick={async () => {
        setOutcome((await copyText(text())) ? 'copied' : 'refused');
        setTimeout(() => setOutcome(undefined), outcomeMs);
      }}
    >
      <Icon name={outcome === 'copied' ? 'check' : 'copy'} />{' '}
      {outcome === undefined ? label : outcomes[outcome]}
    </button>
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
