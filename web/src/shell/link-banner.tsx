/** Says that what the page shows is not live, for as long as it is not. */
import type { Following } from '../mesh/follow.ts';
import { Icon } from '../ui/icon.tsx';

export function LinkBanner({ link }: { link: Following }) {
  const { value: state } = link.state;
  if (state.kind !== 'lost') return null;
  const { kind, message } = state.failure;
  return (
    <div class="banner" role="status">
      <Icon name="warning" />
      <span>
        {kind === 'offline'
          ? 'The gateway does not answer. Figures stand still; the page tries again by itself.'
          : kind === 'key'
            ? `The gateway wants an API key: ${message}`
            : `The mesh cannot be watched: ${message}`}
      </span>
      <button type="button" class="button small" onClick={link.retryNow}>
        Try now
      </button>
    </div>
  );
}
