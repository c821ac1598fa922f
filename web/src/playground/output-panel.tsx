/** How the result is encoded: the format first, what matters to it next, the rest on demand. */
import type { ParameterDescription } from '@imagemesh/api';
import { useState } from 'preact/hooks';
import { choiceText } from '../ui/format.ts';
import { Parameter } from './parameter.tsx';
import type { PlaygroundState } from './playground-state.ts';
import { withValue } from './step-card.tsx';

interface OutputPanelProps {
  readonly playground: PlaygroundState;
  readonly parameters: readonly ParameterDescription[];
}

const shownFirst: readonly string[] = ['quality'];

export function OutputPanel({ playground, parameters }: OutputPanelProps) {
  const [isWhole, setWhole] = useState(false);
  const values = playground.pipeline.value?.output ?? {};
  const format = parameters.find(({ name }) => name === 'format');
  const others = parameters.filter(({ name, type }) => name !== 'format' && !type.startsWith('repeated '));
  const isFirst = ({ name }: ParameterDescription) => shownFirst.includes(name) || values[name] !== undefined;
  const set = (name: string) => (value: Parameters<typeof withValue>[2]) =>
    playground.setOutput(withValue(values, name, value));
  const control = (parameter: ParameterDescription) => (
    <Parameter
      key={parameter.name}
      id={`output-${parameter.name}`}
      parameter={parameter}
      value={values[parameter.name]}
      onChange={set(parameter.name)}
    />
  );
  const rest = others.filter((parameter) => !isFirst(parameter));
  return (
    <section aria-labelledby="output-title">
      <h2 id="output-title">Output</h2>
      <div class="card parameters">
        {format && (
          <fieldset class="segments formats">
            <legend class="visually-hidden">Format</legend>
            {['', ...format.values].map((choice) => (
              <label key={choice} title={choice === '' ? format.options?.summary : undefined}>
                <input
                  type="radio"
                  name="format"
                  value={choice}
                  checked={(values.format ?? '') === choice}
                  onChange={() => set('format')(choice === '' ? undefined : choice)}
                />
                <span>{choice === '' ? 'Same' : choiceText(choice, format.values)}</span>
              </label>
            ))}
          </fieldset>
        )}
        {others.filter(isFirst).map(control)}
        {isWhole && rest.map(control)}
        {rest.length > 0 && (
          <button type="button" class="link" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>
            {isWhole ? 'Fewer' : `${rest.length} more`}
          </button>
        )}
      </div>
    </section>
  );
}
