/** Copies a text, and says whether it could. */
import { useState } from 'preact/hooks';
import { Icon } from './icon.tsx';

interface CopyButtonProps {
  readonly label: string;
  readonly text: () => string;
  readonly isPrimary?: boolean;
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

export function CopyButton({ label, text, isPrimary = false }: CopyButtonProps) {
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
