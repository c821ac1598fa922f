/** The playground: image and pipeline on one side, the result beside the original on the other. */
import { useCallback } from 'preact/hooks';
import { FailureNote } from '../ui/failure-note.tsx';
import { useFileDrop } from '../ui/use-file-drop.ts';
import { OutputPanel } from './output-panel.tsx';
import type { PlaygroundState } from './playground-state.ts';
import { ResultActions } from './result-actions.tsx';
import { ResultBar } from './result-bar.tsx';
import { SourcePanel } from './source-panel.tsx';
import { StepList } from './step-list.tsx';
import { Viewer } from './viewer.tsx';

export function PlaygroundView({ playground }: { playground: PlaygroundState }) {
  const { catalogue, source, runner } = playground;
  const onFiles = useCallback(
    ([file]: readonly File[]) => {
      if (file) void playground.open(file, file.name);
    },
    [playground],
  );
  const isOver = useFileDrop(onFiles);
  const { value: known } = catalogue.state;
  const { value: loaded } = source.state;
  const { isRunning, result: last, failure } = runner.state.value;
  const image = loaded.kind === 'ready' ? loaded.source : undefined;
  // What was made of another image says nothing about this one.
  const result = last?.sourceBytes === image?.bytes ? last : undefined;
  return (
    <div class="playground" data-over={isOver}>
      <h1 class="visually-hidden">Playground</h1>
      <div class="stage">
        <Viewer
          original={image?.picture}
          result={result?.picture}
          isRunning={isRunning}
          note={image && `This browser cannot show ${image.name}.`}
        />
        <div class="below" aria-live="polite" aria-busy={isRunning}>
          {failure && failure.kind !== 'cancelled' && (
            <FailureNote failure={failure} onRetry={runner.again} />
          )}
          {result && result.picture === undefined && (
            <p class="note">This browser does not show the format of the result; it can be downloaded.</p>
          )}
          {image && result && <ResultBar source={image} result={result} />}
          {image && <ResultActions playground={playground} source={image} result={result} />}
        </div>
      </div>
      <aside class="panel" aria-label="Image, pipeline and output">
        <SourcePanel playground={playground} onFiles={onFiles} />
        {known.kind === 'loading' && <p class="empty">Asking the mesh what it can do…</p>}
        {known.kind === 'failed' && (
          <FailureNote failure={known.failure} onRetry={() => void catalogue.load()} />
        )}
        {known.kind === 'ready' && (
          <>
            <StepList playground={playground} operations={known.operations} />
            <OutputPanel playground={playground} parameters={known.output} />
          </>
        )}
      </aside>
      {isOver && (
        <div class="drop" aria-hidden="true">
          Drop the image
        </div>
      )}
    </div>
  );
}
