/** Finds an operation by name or sentence and adds it: a combobox by the ARIA practices. */
import type { OperationDescription } from '@imagemesh/api';
import { useRef, useState } from 'preact/hooks';
import { nameText } from '../ui/format.ts';
import { Icon } from '../ui/icon.tsx';

interface AddStepProps {
  readonly operations: ReadonlyMap<string, OperationDescription>;
  readonly onAdd: (name: string) => void;
}

export function AddStep({ operations, onAdd }: AddStepProps) {
  const [text, setText] = useState('');
  const [isOpen, setOpen] = useState(false);
  const [active, setActive] = useState(0);
  const list = useRef<HTMLDivElement>(null);
  const found = [...operations.values()].filter((operation) => matches(operation, text));

  const choose = (name: string | undefined) => {
    if (name === undefined) return;
    onAdd(name);
    setText('');
    setOpen(false);
    setActive(0);
  };
  const moveTo = (at: number) => {
    const next = (at + found.length) % Math.max(1, found.length);
    setOpen(true);
    setActive(next);
    list.current?.children[next]?.scrollIntoView({ block: 'nearest' });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') moveTo(isOpen ? active + 1 : 0);
    else if (event.key === 'ArrowUp') moveTo(active - 1);
    else if (event.key === 'Enter') choose(isOpen ? found[active]?.name : undefined);
    else if (event.key === 'Escape') setOpen(false);
    else return;
    event.preventDefault();
  };
  return (
    <div class="add-step">
      <Icon name="add" />
      <input
        class="field wide"
        role="combobox"
        aria-label="Add an operation"
        aria-expanded={isOpen}
        aria-controls="add-step-list"
        aria-autocomplete="list"
        aria-activedescendant={isOpen && found.length > 0 ? `add-step-${active}` : undefined}
        placeholder={`Add one of ${operations.size} operations`}
        value={text}
        onInput={({ currentTarget }) => {
          setText(currentTarget.value);
          setOpen(true);
          setActive(0);
        }}
        onFocus={() => setOpen(true)}
        onClick={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={onKeyDown}
      />
      <div
        id="add-step-list"
        ref={list}
        role="listbox"
        aria-label="Operations"
        class="menu"
        hidden={!isOpen || found.length === 0}
      >
        {found.map(({ name, options }, at) => (
          <div
            key={name}
            id={`add-step-${at}`}
            role="option"
            tabIndex={-1}
            aria-selected={at === active}
            onPointerDown={(event) => {
              event.preventDefault();
              choose(name);
            }}
          >
            <span>{nameText(name)}</span>
            <span class="soft">{options?.summary}</span>
          </div>
        ))}
      </div>
      {isOpen && found.length === 0 && (
        <p class="menu empty" role="status">
          No operation matches “{text}”.
        </p>
      )}
    </div>
  );
}

function matches({ name, options }: OperationDescription, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/);
  const searched = `${nameText(name)} ${name} ${options?.summary ?? ''}`.toLowerCase();
  return words.every((word) => searched.includes(word));
}
