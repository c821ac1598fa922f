import { type Camera, FITTED, zoomAt } from './viewport.ts';

interface ZoomBarProps {
  readonly camera: Camera;
  readonly fit: number;
  readonly onCamera: (camera: Camera) => void;
}

export function ZoomBar({ camera, fit, onCamera }: ZoomBarProps) {
  const current = camera.zoom ?? fit;
  const middle = { x: 0, y: 0 };
  return (
    <fieldset class="zoom-bar">
      <legend class="visually-hidden">Zoom</legend>
      <button
        type="button"
        aria-label="Zoom out"
        onClick={() => onCamera(zoomAt(camera, current, 0.5, middle))}
      >
        −
      </button>
      <output class="mono" aria-label="Zoom level">
        {Math.round(current * 100)} %
      </output>
      <button type="button" aria-label="Zoom in" onClick={() => onCamera(zoomAt(camera, current, 2, middle))}>
        +
      </button>
      <button type="button" aria-pressed={camera.zoom === undefined} onClick={() => onCamera(FITTED)}>
        Fit
      </button>
      <button type="button" aria-pressed={camera.zoom === 1} onClick={() => onCamera({ zoom: 1, ...middle })}>
        1:1
      </button>
    </fieldset>
  );
}
