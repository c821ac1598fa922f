/** Result beside original: a slider between them, zoom to pixels, pan. */
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { CompareHandle } from './compare-handle.tsx';
import { draw } from './draw.ts';
import { useCamera } from './use-camera.ts';
import { fitScale, mostScaleAtFit, originalBox, resultBox, type Size } from './viewport.ts';
import { ZoomBar } from './zoom-bar.tsx';

interface ViewerProps {
  readonly original: ImageBitmap | undefined;
  readonly result: ImageBitmap | undefined;
  readonly isRunning: boolean;
  /** Said where there is no picture. */
  readonly note: string | undefined;
}

export function Viewer({ original, result, isRunning, note }: ViewerProps) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const view = useDeviceSize(frame);
  const [split, setSplit] = useState(0.5);
  const main = result ?? original;
  const mostAtFit = mostScaleAtFit(view, window.devicePixelRatio);
  const fit = main === undefined ? 1 : fitScale(main, view, mostAtFit);
  const { camera, setCamera, handlers } = useCamera(fit);

  useLayoutEffect(() => {
    const target = canvas.current;
    if (target === null) return;
    if (target.width !== view.width) target.width = view.width;
    if (target.height !== view.height) target.height = view.height;
    const size = result ?? original;
    draw(target, {
      original: original &&
        size && { picture: original, box: originalBox(original, size, view, camera, mostAtFit) },
      result: result && { picture: result, box: resultBox(result, view, camera, mostAtFit) },
      splitX: Math.round(split * view.width),
    });
  });

  return (
    <div class="viewer">
      <div class="frame" ref={frame}>
        <canvas
          ref={canvas}
          tabIndex={0}
          role="img"
          aria-label={result ? 'Original on the left of the slider, result on the right' : 'Original'}
          aria-keyshortcuts="+ - 0 1"
          {...handlers}
        />
        {original && result && <CompareHandle split={split} onSplit={setSplit} />}
        {result && original && (
          <>
            <span class="tag left" aria-hidden="true">
              Original
            </span>
            <span class="tag right" aria-hidden="true">
              Result
            </span>
          </>
        )}
        {main === undefined && note !== undefined && <p class="viewer-note soft">{note}</p>}
        <div class="working" data-on={isRunning} aria-hidden="true" />
      </div>
      <ZoomBar camera={camera} fit={fit} onCamera={setCamera} />
    </div>
  );
}

function useDeviceSize(element: { readonly current: HTMLElement | null }): Size {
  const [size, setSize] = useState<Size>({ width: 1, height: 1 });
  useEffect(() => {
    const { current } = element;
    if (current === null) return;
    const measure = () => {
      const ratio = window.devicePixelRatio;
      const width = Math.max(1, Math.round(current.clientWidth * ratio));
      const height = Math.max(1, Math.round(current.clientHeight * ratio));
      setSize((now) => (now.width === width && now.height === height ? now : { width, height }));
    };
    const observer = new ResizeObserver(measure);
    observer.observe(current);
    measure();
    return () => observer.disconnect();
  }, [element]);
  return size;
}
