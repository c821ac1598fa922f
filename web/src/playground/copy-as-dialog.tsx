/** The call that made the result, in other languages and as an address for <img>. */
import { Format } from '@imagemesh/api';
import type { RefObject } from 'preact';
import { useState } from 'preact/hooks';
import { Icon } from '../ui/icon.tsx';
import { Snippet } from '../ui/snippet.tsx';
import { ImageUrlPanel } from './image-url-panel.tsx';
import { opsText } from './ops-text.ts';
import { toCallJson } from './pipeline.ts';
import type { PlaygroundState } from './playground-state.ts';
import type { Result } from './run.ts';
import { SNIPPETS, type SnippetKind } from './snippets.ts';
import type { Source } from './source.ts';

interface CopyAsDialogProps {
  readonly dialog: RefObject<HTMLDialogElement | null>;
  readonly playground: PlaygroundState;
  readonly source: Source;
  readonly result: Result;
  readonly resultName: string;
}

type Kind = SnippetKind | 'img';

export function CopyAsDialog({ dialog, playground, source, result, resultName }: CopyAsDialogProps) {
  const [kind, setKind] = useState<Kind>('curl');
  // A parse boundary: Object.entries forgets the keys.
  const choices = [
    ...Object.entries(SNIPPETS).map(([key, { name }]) => [key as Kind, name] as const),
    ['img', '<img>'] as const,
  ];
  return (
    <dialog ref={dialog} class="dialog wide" aria-labelledby="copy-title">
      <div class="panel-head">
        <h2 id="copy-title">The same call elsewhere</h2>
        <button type="button" class="icon-button" aria-label="Close" onClick={() => dialog.current?.close()}>
          <Icon name="close" />
        </button>
      </div>
      <fieldset class="segments">
        <legend class="visually-hidden">Language</legend>
        {choices.map(([key, name]) => (
          <label key={key}>
            <input type="radio" name="snippet" checked={key === kind} onChange={() => setKind(key)} />
            <span>{name}</span>
          </label>
        ))}
      </fieldset>
      {kind === 'img' ? (
        <ImageUrlPanel playground={playground} source={source} result={result} />
      ) : (
        <Snippet
          text={SNIPPETS[kind].make({
            origin: window.location.origin,
            filename: source.name,
            imageId: source.imageId,
            json: toCallJson(result.pipeline),
            ops: urlOps(result),
            resultName,
            apiKey: playground.hasKey.value,
          })}
        />
      )}
    </dialog>
  );
}

/** What curl sends; of FORMAT_AUTO a URL would pick what curl accepts, and not what the page did. */
function urlOps({ operations, output }: Result): string | undefined {
  return output.format === Format.AUTO ? undefined : opsText(operations, output);
}
