/** A number: a slider for feeling, a field for precision. Wide ranges have a slider whose steps grow. */

export interface NumberControlProps {
  readonly id: string;
  readonly label: string;
  readonly value: number | undefined;
  readonly byDefault: number | undefined;
  readonly minimum: number | undefined;
  readonly maximum: number | undefined;
  readonly step: number;
  readonly unit: string;
  readonly onChange: (value: number | undefined) => void;
}

const ticks = 1000;
/** Ranges over so much to one are walked by ratio. */
const wideRatio = 1000;

export function NumberControl(props: NumberControlProps) {
  const { id, label, value, byDefault, minimum, maximum, step, unit, onChange } = props;
  const shown = value ?? byDefault;
  return (
    <div class="number">
      {minimum !== undefined && maximum !== undefined && (
        <input
          type="range"
          aria-label={`${label}, slider`}
          aria-valuetext={shown === undefined ? 'not set' : `${shown} ${unit}`}
          min={0}
          max={ticks}
          value={shown === undefined ? 0 : toTick(shown, minimum, maximum)}
          onInput={({ currentTarget }) =>
            onChange(fromTick(Number(currentTarget.value), minimum, maximum, step))
          }
        />
      )}
      <input
        id={id}
        aria-describedby={`${id}-help`}
        class="field mono"
        type="number"
        inputMode="decimal"
        min={minimum}
        max={maximum}
        step={step < 1 ? 'any' : step}
        placeholder={byDefault === undefined ? '—' : String(byDefault)}
        value={value ?? ''}
        onChange={({ currentTarget: { value: text } }) => {
          const number = Number(text);
          if (text === '') onChange(undefined);
          else if (Number.isFinite(number)) onChange(number);
        }}
      />
    </div>
  );
}

function toTick(value: number, minimum: number, maximum: number): number {
  const part = isWide(minimum, maximum)
    ? Math.log1p(value - minimum) / Math.log1p(maximum - minimum)
    : (value - minimum) / (maximum - minimum);
  return Math.round(Math.min(1, Math.max(0, part)) * ticks);
}

/** A multiple of the step from the minimum. */
function fromTick(tick: number, minimum: number, maximum: number, step: number): number {
  const part = tick / ticks;
  const above = isWide(minimum, maximum)
    ? Math.expm1(part * Math.log1p(maximum - minimum))
    : part * (maximum - minimum);
  const stepped = minimum + Math.round(above / step) * step;
  return Number(Math.min(maximum, stepped).toFixed(3));
}

function isWide(minimum: number, maximum: number): boolean {
  return minimum >= 0 && maximum - minimum > wideRatio;
}
