/** Many files at once through one pipeline, into many variants. */
import { useCallback, useEffect, useState } from 'preact/hooks';
import type { Clients } from '../mesh/clients.ts';
import { EMPTY_PIPELINE, toOperations } from '../playground/pipeline.ts';
import type { PlaygroundState } from '../playground/playground-state.ts';
import type { SourceStore } from '../playground/source.ts';
import { href } from '../shell/route.ts';
import { FailureNote } from '../ui/failure-note.tsx';
import { FilePicker } from '../ui/file-picker.tsx';
import { nameText } from '../ui/format.ts';
import { Icon } from '../ui/icon.tsx';
import { useFileDrop } from '../ui/use-file-drop.ts';
import { BatchList } from './batch-list.tsx';
import { JobList } from './job-list.tsx';
import type { JobsBoard } from './jobs-state.ts';
import { VariantEditor } from './variant-editor.tsx';
import { problemOf, toVariant } from './variants.ts';

interface JobsViewProps {
  readonly board: JobsBoard;
  readonly clients: Clients;
  readonly playground: PlaygroundState;
}

export function JobsView({ board, clients, playground }: JobsViewProps) {
  const [problem, setProblem] = useState<string | undefined>(undefined);
  useEffect(() => board.open(), [board]);
  const { value: known } = playground.catalogue.state;
  const pipeline = playground.pipeline.value ?? EMPTY_PIPELINE;
  const variants = board.variants.value;
  const wrong = problemOf(variants);
  const formats =
    known.kind === 'ready' ? (known.output.find(({ name }) => name === 'format')?.values ?? []) : [];

  const onFiles = useCallback(
    (files: readonly File[]) => {
      try {
        const operations = toOperations(playground.pipeline.value ?? EMPTY_PIPELINE);
        const wanted = board.variants.value.map((variant) => toVariant(variant, operations));
        const wrongNow = problemOf(board.variants.value);
        if (wrongNow === undefined) board.batch.add(files, wanted);
        setProblem(wrongNow);
      } catch (error) {
        setProblem(error instanceof Error ? error.message : String(error));
      }
    },
    [board, playground],
  );
  const isOver = useFileDrop(onFiles);
  const on = pipeline.steps.filter(({ isOn }) => isOn);
  return (
    <div class="jobs" data-over={isOver}>
      <h1 class="visually-hidden">Jobs</h1>
      <aside class="panel" aria-label="New jobs">
        <section class="dropzone" data-over={isOver}>
          <p>
            <strong>Drop images here</strong>, or paste them. Each becomes a job.
          </p>
          <FilePicker label="Image files" class="button primary" isMultiple onFiles={onFiles}>
            Choose files…
          </FilePicker>
          {(wrong ?? problem) !== undefined && (
            <p class="bad" role="alert">
              {wrong ?? problem}
            </p>
          )}
        </section>
        <section aria-labelledby="jobs-pipeline-title">
          <div class="panel-head">
            <h2 id="jobs-pipeline-title">Pipeline</h2>
            <a class="link" href={href({ view: 'playground', query: playground.query.value })}>
              Change in the playground
            </a>
          </div>
          {on.length === 0 ? (
            <p class="empty">No steps: only the variants below.</p>
          ) : (
            <ol class="chips">
              {on.map(({ id, name }) => (
                <li key={id}>{nameText(name)}</li>
              ))}
            </ol>
          )}
        </section>
        <VariantEditor variants={variants} formats={formats} onChange={board.setVariants} />
      </aside>
      <section class="job-column" aria-labelledby="jobs-title">
        <BatchList batch={board.batch} />
        {board.list.value.kind === 'failed' && <FailureNote failure={board.list.value.failure} />}
        <JobList
          board={board}
          clients={clients}
          hasKey={playground.hasKey.value}
          invitation={<Invitation source={playground.source} onFiles={onFiles} />}
        />
      </section>
      {isOver && (
        <div class="drop" aria-hidden="true">
          Drop the images
        </div>
      )}
    </div>
  );
}

/** Begins with the image that the playground has. */
function Invitation({ source, onFiles }: { source: SourceStore; onFiles: (files: readonly File[]) => void }) {
  const { value: state } = source.state;
  return (
    <div class="invitation">
      <Icon name="image" />
      <p>
        <strong>No jobs yet</strong>
      </p>
      <p class="soft">A job makes every variant of an image, in the background, and keeps the results.</p>
      {state.kind === 'ready' && (
        <button
          type="button"
          class="button"
          onClick={() => {
            const { bytes, name, type } = state.source;
            onFiles([new File([bytes], name, { type })]);
          }}
        >
          Try it with {state.source.name}
        </button>
      )}
    </div>
  );
}
