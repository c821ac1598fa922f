/** Code to be copied. */
import { CopyButton } from './copy-button.tsx';

export function Snippet({ text }: { text: string }) {
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys */}
      <pre class="code" tabIndex={0}>
        <code>{text}</code>
      </pre>
      <div class="dialog-actions">
        <CopyButton label="Copy" text={() => text} isPrimary />
      </div>
    </>
  );
}
