/** One step of the pipeline: on or off, its place, its parameters. */
import type { OperationDescription, ParameterDescription } from '@imagemesh/api';
import { useState } from 'preact/hooks';
import { nameText } from '../ui/format.ts';
import { Icon } from '../ui/icon.tsx';
import { Parameter } from './parameter.tsx';
import type { Step, Value, Values } from './pipeline.ts';

/** Parameters shown before the rest is asked for; those that are set always are. */
const shownFirst = 3;

interface StepCardProps {
  readonly step: Step;
  readonly operation: OperationDescription;
  readonly at: number;
  readonly count: number;
  readonly onChange: (change: Partial<Pick<Step, 'isOn' | 'values'>>) => void;
  readonly onRemove: () => void;
  readonly onMove: (at: number) => void;
  readonly onGrab: (isGrabbed: boolean) => void;
}

export function StepCard(props: StepCardProps) {
  const { step, operation, at, count, onChange, onRemove, onMove, onGrab } = props;
  const [isWhole, setWhole] = useState(false);
  const title = nameText(step.name);
  const { first, rest } = split(operation.parameters, step.values);
  const set = (name: string, value: Value | undefined) =>
    onChange({ values: withValue(step.values, name, value) });
  const control = (parameter: ParameterDescription) => (
    <Parameter
      key={parameter.name}
      id={`step-${step.id}-${parameter.name}`}
      parameter={parameter}
      value={step.values[parameter.name]}
      onChange={(value) => set(parameter.name, value)}
    />
  );
  return (
    <section class="card step" data-off={!step.isOn} aria-label={`${at + 1}. ${title}`}>
      <header class="step-head">
        <span
          class="grip"
          aria-hidden="true"
          draggable
          onDragStart={() => onGrab(true)}
          onDragEnd={() => onGrab(false)}
        >
          <Icon name="grip" />
        </span>
        <h3 title={operation.options?.summary}>{title}</h3>
        <button
          type="button"
          class="icon-button tiny"
          aria-label={`Move ${title} up`}
          disabled={at === 0}
          onClick={() => onMove(at - 1)}
        >
          <Icon name="up" />
        </button>
        <button
          type="button"
          class="icon-button tiny"
          aria-label={`Move ${title} down`}
          disabled={at === count - 1}
          onClick={() => onMove(at + 1)}
        >
          <Icon name="down" />
        </button>
        <button type="button" class="icon-button tiny" aria-label={`Remove ${title}`} onClick={onRemove}>
          <Icon name="close" />
        </button>
        <input
          type="checkbox"
          class="switch"
          aria-label={`${title} on`}
          checked={step.isOn}
          onChange={({ currentTarget }) => onChange({ isOn: currentTarget.checked })}
        />
      </header>
      {step.isOn && operation.parameters.length > 0 && (
        <div class="parameters">
          {first.map(control)}
          {isWhole && rest.map(control)}
          {rest.length > 0 && (
            <button type="button" class="link" aria-expanded={isWhole} onClick={() => setWhole(!isWhole)}>
              {isWhole ? 'Fewer' : `${rest.length} more`}
            </button>
          )}
        </div>
      )}
    </section>
  );
}

function split(parameters: readonly ParameterDescription[], values: Values) {
  const isFirst = (parameter: ParameterDescription, at: number) =>
    at < shownFirst || parameter.required || values[parameter.name] !== undefined;
  return {
    first: parameters.filter(isFirst),
    rest: parameters.filter((parameter, at) => !isFirst(parameter, at)),
  };
}

export function withValue(values: Values, name: string, value: Value | undefined): Values {
  const others = Object.entries(values).filter(([key]) => key !== name);
  if (value === undefined) return Object.fromEntries(others);
  return name in values ? { ...values, [name]: value } : { ...Object.fromEntries(others), [name]: value };
}
