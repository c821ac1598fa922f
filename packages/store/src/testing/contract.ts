/** What every engine must do: the same tests for each. */
import { describeBlobs } from './blob-contract.ts';
import { describeClaims } from './claim-contract.ts';
import type { Engine } from './engine.ts';
import { describeSweeps } from './sweep-contract.ts';

export function describeStore(engine: Engine): void {
  describeBlobs(engine);
  describeClaims(engine);
  describeSweeps(engine);
}
