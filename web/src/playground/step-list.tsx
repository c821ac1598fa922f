/** The steps in their order, and how one is added. */
import type { OperationDescription } from '@imagemesh/api';
import { useState } from 'preact/hooks';
import { AddStep } from './add-step.tsx';
import type { PlaygroundState } from './playground-state.ts';
import { StepCard } from './step-card.tsx';

interface StepListProps {
  readonly playground: PlaygroundState;
  readonly operations: ReadonlyMap<string, OperationDescription>;
}

export function StepList({ playground, operations }: StepListProps) {
  const [grabbed, setGrabbed] = useState<number | undefined>(undefined);
  const steps = playground.pipeline.value?.steps ?? [];
  return (
    <section aria-labelledby="pipeline-title">
      <div class="panel-head">
        <h2 id="pipeline-title">Pipeline</h2>
        {steps.length > 0 && (
          <button type="button" class="link" onClick={playground.clear}>
            Clear
          </button>
        )}
      </div>
      {steps.length === 0 && (
        <p class="empty">No steps yet: the image is only encoded anew. Add one to see the mesh at work.</p>
      )}
      <ol class="steps">
        {steps.map((step, at) => {
          const operation = operations.get(step.name);
          return (
            operation && (
              <li
                key={step.id}
                data-grabbed={grabbed === step.id}
                onDragOver={(event) => {
                  if (grabbed === undefined) return;
                  event.preventDefault();
                  if (grabbed !== step.id) playground.moveStep(grabbed, at);
                }}
              >
                <StepCard
                  step={step}
                  operation={operation}
                  at={at}
                  count={steps.length}
                  onChange={(change) => playground.changeStep(step.id, change)}
                  onRemove={() => playground.removeStep(step.id)}
                  onMove={(to) => playground.moveStep(step.id, to)}
                  onGrab={(isGrabbed) => setGrabbed(isGrabbed ? step.id : undefined)}
                />
              </li>
            )
          );
        })}
      </ol>
      <AddStep operations={operations} onAdd={playground.addStep} />
    </section>
  );
}
