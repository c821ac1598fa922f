/** The laws of sizes and places: pure, from headers alone. */
export { extendSides, type Sides, sidesAround } from './extend.ts';
export { type FramePlan, planFrames } from './frames.ts';
export { gaussianSide, kernelTaps } from './kernel-work.ts';
export { perspectiveSize } from './perspective.ts';
export { cropRect, gravityPlace, isSmartGravity, type Region, regionRect, towards } from './place.ts';
export { planResize, type ResizePlan } from './resize.ts';
export { quarterTurns, rotatedSize } from './rotate.ts';
export { operationName, pipelineSizes, resultSize } from './sizes.ts';
