/** The variants of a batch. */
import { choiceText } from '../ui/format.ts';
import { Icon } from '../ui/icon.tsx';
import { MAX_VARIANTS, type WantedVariant } from './variants.ts';

interface VariantEditorProps {
  readonly variants: readonly WantedVariant[];
  /** The names of the enum Format, as the catalogue has them. */
  readonly formats: readonly string[];
  readonly onChange: (variants: readonly WantedVariant[]) => void;
}

export function VariantEditor({ variants, formats, onChange }: VariantEditorProps) {
  const change = (id: number, changed: Partial<WantedVariant>) =>
    onChange(variants.map((variant) => (variant.id === id ? { ...variant, ...changed } : variant)));
  const add = () => {
    const id = Math.max(-1, ...variants.map((variant) => variant.id)) + 1;
    onChange([...variants, { id, name: `variant-${id + 1}`, width: 400, format: '', quality: undefined }]);
  };
  return (
    <section aria-labelledby="variants-title">
      <div class="panel-head">
        <h2 id="variants-title">Variants of each file</h2>
        <button type="button" class="link" disabled={variants.length >= MAX_VARIANTS} onClick={add}>
          Add
        </button>
      </div>
      <ul class="variants">
        {variants.map((variant, at) => (
          <li key={variant.id} class="card variant">
            <label>
              <span>Name</span>
              <input
                class="field"
                value={variant.name}
                onChange={({ currentTarget }) => change(variant.id, { name: currentTarget.value.trim() })}
              />
            </label>
            <button
              type="button"
              class="icon-button tiny"
              aria-label={`Remove variant ${variant.name}`}
              onClick={() => onChange(variants.filter((_, other) => other !== at))}
            >
              <Icon name="close" />
            </button>
            <NumberField
              label="Width"
              unit="px"
              most={65535}
              value={variant.width}
              onChange={(width) => change(variant.id, { width })}
            />
            <label>
              <span>Format</span>
              <select
                class="field"
                value={variant.format}
                onChange={({ currentTarget }) => change(variant.id, { format: currentTarget.value })}
              >
                <option value="">Same</option>
                {formats.map((format) => (
                  <option key={format} value={format}>
                    {choiceText(format, formats)}
                  </option>
                ))}
              </select>
            </label>
            <NumberField
              label="Quality"
              unit="%"
              most={100}
              value={variant.quality}
              onChange={(quality) => change(variant.id, { quality })}
            />
          </li>
        ))}
      </ul>
    </section>
  );
}

interface NumberFieldProps {
  readonly label: string;
  readonly unit: string;
  readonly most: number;
  readonly value: number | undefined;
  readonly onChange: (value: number | undefined) => void;
}

function NumberField({ label, unit, most, value, onChange }: NumberFieldProps) {
  return (
    <label>
      <span>
        {label} <span class="unit">{unit}</span>
      </span>
      <input
        class="field mono"
        type="number"
        min={1}
        max={most}
        placeholder="auto"
        value={value ?? ''}
        onChange={({ currentTarget: { value: text } }) => {
          const number = Math.round(Number(text));
          onChange(text === '' || !Number.isFinite(number) ? undefined : Math.min(most, Math.max(1, number)));
        }}
      />
    </label>
  );
}
