/** A control for one parameter, made of its description in the catalogue. */
import type { ParameterDescription } from '@imagemesh/api';
import { choiceText, nameText } from '../ui/format.ts';
import { Icon } from '../ui/icon.tsx';
import { NumberControl } from './number-control.tsx';
import type { Value } from './pipeline.ts';

export interface ParameterProps {
  readonly parameter: ParameterDescription;
  /** Undefined: not set, the default holds. */
  readonly value: Value | undefined;
  /** Unique on the page. */
  readonly id: string;
  readonly onChange: (value: Value | undefined) => void;
}

export function Parameter(props: ParameterProps) {
  const { parameter, value, id, onChange } = props;
  const { name, options, required } = parameter;
  const unit = options?.unit ?? '';
  return (
    <div class="parameter" data-set={value !== undefined}>
      <div class="parameter-head">
        <label for={id} title={options?.summary}>
          {nameText(name)}
          {unit !== '' && <span class="unit"> {unit}</span>}
          {required && <span class="unit"> required</span>}
        </label>
        {value !== undefined && !required && (
          <button
            type="button"
            class="icon-button tiny"
            aria-label={`Reset ${nameText(name)}`}
            title="Back to the default"
            onClick={() => onChange(undefined)}
          >
            <Icon name="reset" />
          </button>
        )}
      </div>
      <Control {...props} />
      <p id={`${id}-help`} class="help">
        {options?.summary}
      </p>
    </div>
  );
}

function Control(props: ParameterProps) {
  const { parameter, value, id, onChange } = props;
  const { type, values, options, minimum, maximum } = parameter;
  const byDefault = defaultOf(options?.defaultValue);
  const described = { id, 'aria-describedby': `${id}-help` };
  if (type === 'bool') {
    return (
      <input
        {...described}
        type="checkbox"
        class="switch"
        checked={value === undefined ? byDefault === true : value === true}
        onChange={({ currentTarget }) => onChange(currentTarget.checked)}
      />
    );
  }
  if (values.length > 0 && !type.startsWith('repeated ')) {
    const isNumber = /^(?:int|double)/.test(type);
    return (
      <select
        {...described}
        class="field wide"
        value={String(value ?? '')}
        onChange={({ currentTarget: { value: chosen } }) =>
          onChange(chosen === '' ? undefined : isNumber ? Number(chosen) : chosen)
        }
      >
        <option value="">
          {byDefault === undefined ? 'Not set' : `${choiceText(String(byDefault), values)} (default)`}
        </option>
        {values.map((choice) => (
          <option key={choice} value={choice}>
            {isNumber ? choice : choiceText(choice, values)}
          </option>
        ))}
      </select>
    );
  }
  if (/^(?:int|double)/.test(type)) {
    const shown = typeof value === 'number' ? value : undefined;
    return (
      <NumberControl
        id={id}
        value={shown}
        byDefault={typeof byDefault === 'number' ? byDefault : undefined}
        minimum={minimum}
        maximum={maximum}
        step={stepOf(parameter)}
        unit={options?.unit ?? ''}
        label={nameText(parameter.name)}
        onChange={onChange}
      />
    );
  }
  if (type === 'repeated double') return <ListControl {...props} />;
  return isColour(parameter) ? (
    <ColourControl {...props} byDefault={byDefault} />
  ) : (
    <TextControl {...props} />
  );
}

function ListControl({ id, value, onChange }: ParameterProps) {
  return (
    <input
      id={id}
      aria-describedby={`${id}-help`}
      class="field wide mono"
      value={Array.isArray(value) ? value.join(', ') : ''}
      onChange={({ currentTarget }) => {
        const numbers = currentTarget.value
          .split(/[\s,]+/)
          .filter((part) => part !== '')
          .map(Number);
        if (numbers.every(Number.isFinite)) onChange(numbers.length === 0 ? undefined : numbers);
        else currentTarget.value = Array.isArray(value) ? value.join(', ') : '';
      }}
    />
  );
}

function TextControl({ id, value, parameter, onChange }: ParameterProps) {
  return (
    <input
      id={id}
      aria-describedby={`${id}-help`}
      class="field wide"
      value={typeof value === 'string' ? value : ''}
      {...(parameter.maximum !== undefined && { maxLength: parameter.maximum })}
      onInput={({ currentTarget }) => onChange(currentTarget.value === '' ? undefined : currentTarget.value)}
    />
  );
}

function ColourControl({ id, value, byDefault, onChange }: ParameterProps & { byDefault: unknown }) {
  const shown = String(value ?? byDefault ?? '');
  return (
    <div class="colour">
      <input
        type="color"
        aria-label="Pick the colour"
        value={/^#[0-9a-f]{6}/i.test(shown) ? shown.slice(0, 7) : '#000000'}
        onInput={({ currentTarget }) => onChange(currentTarget.value + shown.slice(7))}
      />
      <input
        id={id}
        aria-describedby={`${id}-help`}
        class="field wide mono"
        placeholder={byDefault === undefined ? 'not set' : String(byDefault)}
        value={typeof value === 'string' ? value : ''}
        onChange={({ currentTarget }) =>
          onChange(currentTarget.value === '' ? undefined : currentTarget.value)
        }
      />
    </div>
  );
}

/** As JSON writes it; a name of an enum stands without quotes. */
function defaultOf(text: string | undefined): string | number | boolean | undefined {
  if (text === undefined || text === '') return undefined;
  if (text === 'true' || text === 'false') return text === 'true';
  if (text.startsWith('"')) return text.slice(1, -1);
  const number = Number(text);
  return Number.isFinite(number) ? number : text;
}

/** The catalogue has no type for colours, and no rule for odd numbers: their sentences say it. */
function isColour({ name }: ParameterDescription): boolean {
  return name === 'background' || name === 'color';
}

function stepOf({ type, options, minimum = 0, maximum = 0 }: ParameterDescription): number {
  if (!type.startsWith('int')) return maximum - minimum > 20 ? 0.5 : 0.05;
  return /\bodd\b/.test(options?.summary ?? '') ? 2 : 1;
}
