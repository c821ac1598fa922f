/** What went wrong, in the server's own words. */
import type { Failure } from '../mesh/failure.ts';
import { Icon } from './icon.tsx';

export function FailureNote({ failure, onRetry }: { failure: Failure; onRetry?: () => void }) {
  const isUnserved = failure.kind === 'unserved';
  return (
    <div class="note" data-tone={isUnserved ? 'warn' : 'bad'} role="alert">
      <Icon name="warning" />
      <div>
        <p>
          <strong class="mono">{failure.reason}</strong>{' '}
          {isUnserved ? 'This gateway does not serve the call.' : failure.message}
        </p>
        {failure.violations.filter(isNews(failure.message)).map((violation) => (
          <p key={violation} class="soft">
            {violation}
          </p>
        ))}
      </div>
      {onRetry && (
        <button type="button" class="button small" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Where a single field is wrong, the message says just that. */
function isNews(message: string): (violation: string) => boolean {
  const words = (text: string) => text.replace(/[:\s]+/g, ' ');
  return (violation) => !words(message).includes(words(violation));
}
