/** A pipeline in the operation syntax of URLs (docs/urls.md). Pure. */
import { type Operation, type Output, syntax } from '@imagemesh/api';

/** Empty for nothing at all; undefined where the syntax cannot say it. */
export function opsText(operations: readonly Operation[], output: Output): string | undefined {
  const saysNothing = syntax.formatOperations([], output) === syntax.outputStep;
  return syntax.formatOperations(operations, saysNothing ? undefined : output);
}
