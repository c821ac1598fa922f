/** Draws original and result on either side of the slider. */
import type { Box } from './viewport.ts';

export interface Drawn {
  readonly picture: ImageBitmap;
  readonly box: Box;
}

/** From here on pixels are drawn as squares: CSS pixels a pixel of the picture. More than a picture has that fits. */
const squaresFrom = 3;

/** The original shows left of splitX, the result right of it. */
export function draw(
  canvas: HTMLCanvasElement,
  parts: { original: Drawn | undefined; result: Drawn | undefined; splitX: number },
): void {
  const context = canvas.getContext('2d', { willReadFrequently: false });
  if (context === null) return;
  const { width, height } = canvas;
  context.clearRect(0, 0, width, height);
  const { original, result, splitX } = parts;
  if (original) drawWithin(context, original, 0, result ? splitX : width, height);
  if (result) drawWithin(context, result, original ? splitX : 0, width, height);
}

function drawWithin(
  context: CanvasRenderingContext2D,
  { picture, box }: Drawn,
  fromX: number,
  toX: number,
  height: number,
): void {
  if (toX <= fromX) return;
  context.save();
  context.beginPath();
  context.rect(fromX, 0, toX - fromX, height);
  context.clip();
  const checks = checksOf(context);
  if (checks !== null) {
    context.fillStyle = checks;
    context.fillRect(box.x, box.y, box.width, box.height);
  }
  context.imageSmoothingEnabled = box.width / picture.width < squaresFrom * window.devicePixelRatio;
  context.imageSmoothingQuality = 'high';
  context.drawImage(picture, box.x, box.y, box.width, box.height);
  context.restore();
}

const checkSide = 8;

/** Squares of two greys, which show where a picture is transparent. */
function checksOf(context: CanvasRenderingContext2D): CanvasPattern | null {
  const tile = new OffscreenCanvas(2 * checkSide, 2 * checkSide);
  const brush = tile.getContext('2d');
  if (brush === null) return null;
  brush.fillStyle = '#ffffff';
  brush.fillRect(0, 0, tile.width, tile.height);
  brush.fillStyle = '#d7d9de';
  brush.fillRect(0, 0, checkSide, checkSide);
  brush.fillRect(checkSide, checkSide, checkSide, checkSide);
  // A parse boundary: browsers take an OffscreenCanvas as an image, the types of patterns lag behind.
  return context.createPattern(tile as unknown as CanvasImageSource, 'repeat');
}
