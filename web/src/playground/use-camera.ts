/** Zoom and pan by wheel, pointer and keys. */
import { useRef, useState } from 'preact/hooks';
import { type Camera, FITTED, zoomAt } from './viewport.ts';

const zoomStep = 1.25;
const panStep = 48;

export function useCamera(fit: number) {
  const [camera, setCamera] = useState<Camera>(FITTED);
  const grabbed = useRef<{ x: number; y: number; camera: Camera } | undefined>(undefined);
  const ratio = window.devicePixelRatio;
  const current = camera.zoom ?? fit;
  const zoom = (factor: number, at = { x: 0, y: 0 }) => setCamera(zoomAt(camera, current, factor, at));
  const pan = (x: number, y: number) => setCamera({ ...camera, x: camera.x + x, y: camera.y + y });

  const onKeyDown = (event: KeyboardEvent) => {
    const act = keys[event.key];
    if (act === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  };
  const keys: Readonly<Record<string, () => void>> = {
    '+': () => zoom(zoomStep),
    '=': () => zoom(zoomStep),
    '-': () => zoom(1 / zoomStep),
    '0': () => setCamera(FITTED),
    '1': () => setCamera({ zoom: 1, x: 0, y: 0 }),
    ArrowLeft: () => pan(panStep, 0),
    ArrowRight: () => pan(-panStep, 0),
    ArrowUp: () => pan(0, panStep),
    ArrowDown: () => pan(0, -panStep),
  };
  return {
    camera,
    setCamera,
    handlers: {
      onKeyDown,
      onWheel(event: WheelEvent & { currentTarget: HTMLElement }) {
        event.preventDefault();
        const box = event.currentTarget.getBoundingClientRect();
        const at = {
          x: (event.clientX - box.left - box.width / 2) * ratio,
          y: (event.clientY - box.top - box.height / 2) * ratio,
        };
        zoom(Math.exp(-event.deltaY / 400), at);
      },
      onPointerDown(event: PointerEvent & { currentTarget: HTMLElement }) {
        event.currentTarget.setPointerCapture(event.pointerId);
        grabbed.current = { x: event.clientX, y: event.clientY, camera };
      },
      onPointerMove(event: PointerEvent) {
        const from = grabbed.current;
        if (from === undefined) return;
        const x = from.camera.x + (event.clientX - from.x) * ratio;
        const y = from.camera.y + (event.clientY - from.y) * ratio;
        setCamera({ zoom: current, x, y });
      },
      onPointerUp() {
        grabbed.current = undefined;
      },
      onPointerCancel() {
        grabbed.current = undefined;
      },
      onDblClick: () => setCamera(camera.zoom === undefined ? { zoom: 1, x: 0, y: 0 } : FITTED),
    },
  };
}
