/**
 * Cuts a pipeline into passes: what one run of sharp does in exactly the order that the client gave.
 *
 * sharp's order inside a run is fixed, whatever the order of calls: extract, resize, flop, turn, extract, extend. A
 * pass is therefore kept in that form. Mirrors and quarter turns commute with cutting (the rectangle moves along) and
 * with scaling (the kernel is separable and symmetric; results differ by rounding, at most one level), so all of them
 * collapse into one turn. What does not fit (a second scaling, a turn by another angle) begins a new pass; pixels go
 * through memory in between.
 */
import { ExtendMethod, Fit, FlipDirection, Gravity, Kernel, type Operation } from '@imagemesh/api';
import {
  cropRect,
  extendSides,
  gravityPlace,
  type ImageLimits,
  inverseTurn,
  isUpright,
  planResize,
  quarterTurns,
  type Rect,
  resultSize,
  type Sides,
  type Size,
  sidesAround,
  type Turn,
  thenTurn,
  turnedRect,
  turnedSize,
  upright,
} from '@imagemesh/image';

/** One run of sharp. Its steps happen in the order of these fields. */
export interface Pass {
  /** Cut out of the source, before it is scaled or turned. */
  readonly crop: Rect | undefined;
  /** Scaled to exactly that, still not turned. */
  readonly scale: Scale | undefined;
  readonly turn: Turn;
  /** Turned by any angle; then `crop`, `scale` and `turn` are empty. */
  readonly rotate: Rotation | undefined;
  /** Cut out of what came of the above. */
  readonly cropAfter: Rect | undefined;
  /** Pixels put around what came of the above. */
  readonly extend: Extension | undefined;
}

export interface Scale extends Size {
  readonly kernel: Kernel;
}

export interface Rotation {
  /** Degrees clockwise, not a multiple of 90. */
  readonly angle: number;
  /** #RRGGBB or #RRGGBBAA. */
  readonly background: string;
}

/** Pixels added at each side, and what they show. */
export interface Extension extends Sides {
  readonly method: ExtendMethod;
  /** #RRGGBB or #RRGGBBAA; undefined: transparent, or black where there is no alpha. */
  readonly background: string | undefined;
}

const emptyPass: Pass = {
  crop: undefined,
  scale: undefined,
  turn: upright,
  rotate: undefined,
  cropAfter: undefined,
  extend: undefined,
};

type Step =
  | { readonly kind: 'turn'; readonly turn: Turn }
  | { readonly kind: 'crop'; readonly rect: Rect }
  | { readonly kind: 'scale'; readonly scale: Scale }
  | { readonly kind: 'rotate'; readonly rotation: Rotation }
  | { readonly kind: 'extend'; readonly extension: Extension };

/**
 * The passes that do the operations. `stored` is the size of the source as its file has it, `orientation` what makes
 * it upright. There is at least one pass.
 */
export function planPasses(
  stored: Size,
  orientation: Turn,
  operations: readonly Operation[],
  limits: ImageLimits,
): readonly Pass[] {
  const passes: Pass[] = [];
  let pass: Pass = emptyPass;
  let current = stored;
  const take = (step: Step) => {
    const added = addStep(pass, step, current);
    if (added === undefined) {
      passes.push(pass);
      pass = addStep(emptyPass, step, current) ?? emptyPass;
    } else {
      pass = added;
    }
  };
  take({ kind: 'turn', turn: orientation });
  current = turnedSize(stored, orientation);
  for (const operation of operations) {
    const result = resultSize(current, operation, limits);
    for (const step of stepsOf(operation, current, result)) {
      take(step);
      current = sizeAfter(step, current, result);
    }
  }
  return [...passes, pass];
}

/** An operation in the steps that a pass is made of. */
function stepsOf({ operation }: Operation, size: Size, result: Size): readonly Step[] {
  switch (operation.case) {
    case 'resize': {
      const { fit, kernel = Kernel.LANCZOS3, gravity = Gravity.CENTER, background } = operation.value;
      const { scaled, result: box } = planResize(size, operation.value);
      const steps: Step[] = [];
      if (!isSameSize(scaled, size)) steps.push({ kind: 'scale', scale: { ...scaled, kernel } });
      if (isSameSize(scaled, box)) return steps;
      if (fit === Fit.COVER) {
        steps.push({ kind: 'crop', rect: { ...gravityPlace(scaled, box, gravity), ...box } });
      } else {
        const sides = sidesAround(scaled, box, gravity);
        steps.push({ kind: 'extend', extension: { ...sides, method: ExtendMethod.BACKGROUND, background } });
      }
      return steps;
    }
    case 'crop': {
      return isSameSize(size, result) ? [] : [{ kind: 'crop', rect: cropRect(size, operation.value) }];
    }
    case 'extend': {
      const { method = ExtendMethod.BACKGROUND, background = '#000000' } = operation.value;
      const sides = extendSides(size, operation.value);
      return isSameSize(size, result)
        ? []
        : [{ kind: 'extend', extension: { ...sides, method, background } }];
    }
    case 'flip':
      return [{ kind: 'turn', turn: turnOfFlip(operation.value.direction ?? FlipDirection.UNSPECIFIED) }];
    case 'rotate': {
      const { angle = 0, background = '#000000' } = operation.value;
      const quarters = quarterTurns(angle);
      if (quarters !== undefined) return [{ kind: 'turn', turn: { flop: false, quarters } }];
      return [{ kind: 'rotate', rotation: { angle, background } }];
    }
    default:
      // What sharp does not do in a pass is not handed to it; see process.ts.
      return [];
  }
}

/** The pass with one more step, or undefined where sharp's order does not allow it. `size`: before the step. */
function addStep(pass: Pass, step: Step, size: Size): Pass | undefined {
  if (pass.extend !== undefined && !isNothing(step)) return undefined;
  switch (step.kind) {
    case 'turn': {
      if (isUpright(step.turn)) return pass;
      if (pass.rotate !== undefined) return undefined;
      if (pass.cropAfter === undefined) return { ...pass, turn: thenTurn(pass.turn, step.turn) };
      // The part stays the same; the whole that it was cut from turns too. Its size is that of the scaled image.
      const whole = turnedSize(pass.scale ?? size, pass.turn);
      const cropAfter = turnedRect(pass.cropAfter, whole, step.turn);
      return { ...pass, turn: thenTurn(pass.turn, step.turn), cropAfter };
    }
    case 'crop':
      if (pass.scale !== undefined || pass.rotate !== undefined) {
        return { ...pass, cropAfter: within(pass.cropAfter, step.rect) };
      }
      return { ...pass, crop: within(pass.crop, turnedRect(step.rect, size, inverseTurn(pass.turn))) };
    case 'scale':
      if (pass.scale !== undefined || pass.rotate !== undefined) return undefined;
      // The nearest pixel is not the same one from the other side.
      if (step.scale.kernel === Kernel.NEAREST && !isUpright(pass.turn)) return undefined;
      return { ...pass, scale: { ...step.scale, ...turnedSize(step.scale, pass.turn) } };
    case 'rotate':
      return isEmpty(pass) ? { ...pass, rotate: step.rotation } : undefined;
    case 'extend':
      return { ...pass, extend: step.extension };
    default:
      return step satisfies never;
  }
}

function sizeAfter(step: Step, size: Size, result: Size): Size {
  switch (step.kind) {
    case 'turn':
      return turnedSize(size, step.turn);
    case 'crop':
      return { width: step.rect.width, height: step.rect.height };
    case 'scale':
      return { width: step.scale.width, height: step.scale.height };
    case 'rotate':
    case 'extend':
      return result;
    default:
      return step satisfies never;
  }
}

function turnOfFlip(direction: FlipDirection): Turn {
  switch (direction) {
    case FlipDirection.VERTICAL:
      return { flop: true, quarters: 2 };
    case FlipDirection.BOTH:
      return { flop: false, quarters: 2 };
    default:
      return { flop: true, quarters: 0 };
  }
}

/** A rectangle of a rectangle. */
function within(outer: Rect | undefined, inner: Rect): Rect {
  return outer === undefined
    ? inner
    : { ...inner, left: outer.left + inner.left, top: outer.top + inner.top };
}

function isSameSize(a: Size, b: Size): boolean {
  return a.width === b.width && a.height === b.height;
}

function isEmpty(pass: Pass): boolean {
  const { crop, scale, turn, rotate, cropAfter, extend } = pass;
  return isUpright(turn) && [crop, scale, rotate, cropAfter, extend].every((part) => part === undefined);
}

function isNothing(step: Step): boolean {
  return step.kind === 'turn' && isUpright(step.turn);
}
