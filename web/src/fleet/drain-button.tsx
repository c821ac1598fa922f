/** Asks once more before a replica is made to leave. */
import { useState } from 'preact/hooks';
import { type Failure, toFailure } from '../mesh/failure.ts';

interface DrainButtonProps {
  readonly replicaId: string;
  readonly onDrain: (replicaId: string) => Promise<void>;
}

type Step =
  | { readonly kind: 'idle' | 'asking' | 'sent' }
  | { readonly kind: 'failed'; readonly failure: Failure };

export function DrainButton({ replicaId, onDrain }: DrainButtonProps) {
  const [step, setStep] = useState<Step>({ kind: 'idle' });
  const drain = async () => {
    setStep({ kind: 'sent' });
    try {
      await onDrain(replicaId);
    } catch (error) {
      setStep({ kind: 'failed', failure: toFailure(error) });
    }
  };
  switch (step.kind) {
    case 'idle':
      return (
        <button
          type="button"
          class="button small"
          aria-label={`Drain ${replicaId}`}
          onClick={() => setStep({ kind: 'asking' })}
        >
          Drain
        </button>
      );
    case 'asking':
      return (
        <span class="confirm">
          <button type="button" class="button small danger" onClick={drain}>
            Drain {replicaId}
          </button>
          <button type="button" class="button small" onClick={() => setStep({ kind: 'idle' })}>
            Keep
          </button>
        </span>
      );
    case 'sent':
      return (
        <span class="soft" role="status">
          asked to leave
        </span>
      );
    case 'failed':
      return (
        <span class="bad" role="alert">
          {step.failure.message}
        </span>
      );
    default:
      return step satisfies never;
  }
}
