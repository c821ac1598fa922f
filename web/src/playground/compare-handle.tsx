/** The line between original and result. */
interface CompareHandleProps {
  /** 0 is the left edge, 1 the right. */
  readonly split: number;
  readonly onSplit: (split: number) => void;
}

const step = 0.02;

export function CompareHandle({ split, onSplit }: CompareHandleProps) {
  const clamp = (value: number) => onSplit(Math.min(1, Math.max(0, value)));
  const keys: Readonly<Record<string, number>> = {
    ArrowLeft: split - step,
    ArrowDown: split - step,
    ArrowRight: split + step,
    ArrowUp: split + step,
    PageDown: split - 5 * step,
    PageUp: split + 5 * step,
    Home: 0,
    End: 1,
  };
  const percent = Math.round(split * 100);
  return (
    <div
      class="compare"
      role="slider"
      tabIndex={0}
      aria-label="Compare"
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
      aria-valuetext={`${percent} % original`}
      style={{ left: `${split * 100}%` }}
      onKeyDown={(event) => {
        const to = keys[event.key];
        if (to === undefined) return;
        event.preventDefault();
        clamp(to);
      }}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={(event) => {
        const box = event.currentTarget.parentElement?.getBoundingClientRect();
        if (event.buttons === 0 || box === undefined) return;
        clamp((event.clientX - box.left) / box.width);
      }}
    >
      <span class="compare-knob" aria-hidden="true">
        ‹ ›
      </span>
    </div>
  );
}
