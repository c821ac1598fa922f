/** A button that picks files. */
import type { ComponentChildren } from 'preact';
import { useRef } from 'preact/hooks';

interface FilePickerProps {
  readonly label: string;
  readonly isMultiple?: boolean;
  readonly class?: string;
  readonly children: ComponentChildren;
  readonly onFiles: (files: readonly File[]) => void;
}

export function FilePicker({ label, isMultiple = false, children, onFiles, ...rest }: FilePickerProps) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <>
      <button type="button" class={rest.class ?? 'button'} onClick={() => input.current?.click()}>
        {children}
      </button>
      <input
        ref={input}
        type="file"
        accept="image/*,.avif,.tif,.tiff"
        aria-label={label}
        tabIndex={-1}
        class="visually-hidden"
        multiple={isMultiple}
        onChange={({ currentTarget }) => {
          onFiles([...(currentTarget.files ?? [])]);
          currentTarget.value = '';
        }}
      />
    </>
  );
}
