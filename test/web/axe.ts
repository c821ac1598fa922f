/** Accessibility by axe-core, injected past the page's CSP as a script of the test's own. */
import axe, { type Result } from 'axe-core';
import type { Page } from 'playwright-core';

/** The serious and critical findings, one line each. */
export async function seriousFindings(page: Page): Promise<readonly string[]> {
  await page.evaluate(`${axe.source}; undefined`);
  const violations = await page.evaluate<Result[]>(
    "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations)",
  );
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(' ')).join('; ')}`);
}
