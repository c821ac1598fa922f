import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { defineConfig, loadEnv, type Plugin } from 'vite';

/** What the gateway serves beside the page, for the development server to pass on to a mesh that runs. */
const meshPaths = ['/imagemesh.v1.', '/images/', '/upload', '/transform', '/jobs/', '/i/'];

/**
 * A static page without inline scripts or styles, so that the gateway can serve it under a strict CSP. In development
 * calls go to the mesh at IMAGEMESH_URL.
 */
export default defineConfig(({ mode }) => {
  const { IMAGEMESH_URL: mesh = 'http://127.0.0.1:8080' } = loadEnv(mode, process.cwd(), 'IMAGEMESH_');
  return {
    base: './',
    resolve: { conditions: ['source', 'module', 'browser', 'import', 'default'] },
    build: {
      target: 'es2022',
      outDir: 'dist',
      emptyOutDir: true,
      assetsInlineLimit: 0,
      modulePreload: false,
      // Compressing takes most of the time, as it should.
      rolldownOptions: { checks: { pluginTimings: false } },
    },
    server: { proxy: Object.fromEntries(meshPaths.map((path) => [path, { target: mesh }])) },
    plugins: [bundleSample(), compressAhead()],
  };
});

/** The repository's sample image, so that the page has one to begin with. */
function bundleSample(): Plugin {
  return {
    name: 'sample',
    resolveId: (id) => (id === 'virtual:sample' ? '\0sample' : null),
    async load(id) {
      if (id !== '\0sample') return null;
      const path = new URL('../examples/sample.jpg', import.meta.url).pathname;
      return `export { default as sampleUrl } from ${JSON.stringify(`${path}?url`)};`;
    },
  };
}

/** Writes each text file once more in brotli and gzip, which the gateway answers with where a browser accepts them. */
function compressAhead(): Plugin {
  return {
    name: 'compress-ahead',
    apply: 'build',
    enforce: 'post',
    async writeBundle({ dir = 'dist' }, bundle) {
      await mkdir(dir, { recursive: true });
      for (const name of Object.keys(bundle).filter((file) => /\.(?:js|css|html|svg)$/.test(file))) {
        const file = join(dir, name);
        const bytes = await readFile(file);
        const params = { [constants.BROTLI_PARAM_QUALITY]: 11 };
        await writeFile(`${file}.br`, await promisify(brotliCompress)(bytes, { params }));
        await writeFile(`${file}.gz`, await promisify(gzip)(bytes, { level: 9 }));
      }
    },
  };
}
