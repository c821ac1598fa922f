import { defineConfig } from 'vitest/config';

/** Workspace packages resolve to their TypeScript source; the mesh tests start the built services beside that. */
const resolve = { conditions: ['source', 'node', 'import', 'default'] };
const ssr = {
  resolve: {
    conditions: resolve.conditions,
    externalConditions: ['node', 'import', 'default'],
  },
};

/** The default, a second, is little on two cores that a test shares with a whole mesh. */
const expectOptions = { poll: { timeout: 15_000, interval: 20 } };

export default defineConfig({
  test: {
    reporters: ['default', './test/closing-line-reporter.ts'],
    projects: [
      {
        resolve,
        ssr,
        test: {
          name: 'unit',
          include: [
            'packages/*/src/**/*.test.ts',
            'services/*/src/**/*.test.ts',
            'web/src/**/*.test.ts',
            'test/unit/**/*.test.ts',
            'test/conformance/**/*.test.ts',
            'bench/**/*.test.ts',
          ],
          exclude: ['**/*.{mesh,slow}.test.ts', '**/node_modules/**', '**/dist/**'],
          pool: 'forks',
          expect: expectOptions,
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          name: 'mesh',
          include: [
            'test/mesh/**/*.test.ts',
            'packages/*/src/**/*.mesh.test.ts',
            'services/*/src/**/*.mesh.test.ts',
          ],
          exclude: ['**/node_modules/**', '**/dist/**'],
          pool: 'forks',
          expect: expectOptions,
          // One mesh at a time: each is six processes, and two cores are shared.
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          // Kills under load and floods: minutes, so not among what `npm test` runs.
          name: 'slow',
          include: [
            'test/slow/**/*.test.ts',
            'packages/*/src/**/*.slow.test.ts',
            'services/*/src/**/*.slow.test.ts',
          ],
          exclude: ['**/node_modules/**', '**/dist/**'],
          pool: 'forks',
          expect: expectOptions,
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 60_000,
        },
      },
      {
        resolve,
        ssr,
        test: {
          // The page in Chromium, with a mesh behind it.
          name: 'web',
          include: ['test/web/**/*.test.ts'],
          exclude: ['**/node_modules/**', '**/dist/**'],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
