/** A telling example of every operation, as the JSON of a call; `watermarkId` names an image that was stored before. */
import type { JsonObject } from '@bufbuild/protobuf';

export function operationExamples(watermarkId: string): Readonly<Record<string, JsonObject>> {
  return {
    resize: { width: 120, height: 120, fit: 'FIT_COVER' },
    crop: { width: 120, height: 120, gravity: 'GRAVITY_ATTENTION' },
    rotate: { angle: 15, background: '#FFFFFF' },
    flip: {},
    blur: { size: 9 },
    gaussian_blur: { sigma: 3 },
    median_blur: { size: 7 },
    edges: {},
    grayscale: {},
    trim: { background: '#FFFFFF' },
    extend: { left: 24, top: 24, right: 24, bottom: 24, method: 'EXTEND_METHOD_MIRROR' },
    round_corners: { radius: 40 },
    flatten: { background: '#FF8800' },
    select_frame: { index: 0 },
    watermark: { image_id: watermarkId, tile: true, opacity: 0.5 },
    text: { text: 'imagemesh', size: 36, gravity: 'GRAVITY_BOTTOM', offset_y: 8 },
    adjust: { contrast: 30, saturation: 60, hue: -20 },
    invert: {},
    sepia: {},
    equalize: {},
    clahe: { clip_limit: 4 },
    bilateral: { diameter: 15, sigma_color: 60 },
    sobel: {},
    laplacian: { size: 3 },
    threshold: { otsu: true },
    adaptive_threshold: { size: 15, offset: 5 },
    morphology: { kind: 'MORPHOLOGY_KIND_GRADIENT', size: 5 },
    sharpen: { amount: 2, radius: 2 },
    convolve: { kernel: [1, 1, 1, 1, -8, 1, 1, 1, 1], offset: 128 },
    emboss: {},
    pixelate: { size: 8, left: 50, top: 90, width: 70, height: 66 },
    blur_region: { left: 50, top: 90, width: 70, height: 66, sigma: 5 },
    redact_faces: { method: 'FACE_REDACTION_PIXELATE' },
    crop_to_faces: { padding: 20 },
    perspective: { corners: [60, 96, 130, 110, 120, 156, 50, 152], width: 160, height: 120 },
  };
}

/** What goes before an example, so that it has something to do: not shown as a part of it. */
export const preparations: Readonly<Record<string, readonly JsonObject[]>> = {
  trim: [{ extend: { left: 30, top: 20, right: 10, bottom: 40, background: '#FFFFFF' } }],
  flatten: [{ round_corners: {} }],
};

/** Examples on a portrait instead of the landscape. */
export const onPortrait: ReadonlySet<string> = new Set(['redact_faces', 'crop_to_faces']);
