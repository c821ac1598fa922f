import { defineConfig } from 'vite';

/** A static page without inline scripts or styles, so that the gateway can serve it under a strict CSP. */
export default defineConfig({
  base: './',
  build: { target: 'es2022', outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0, modulePreload: false },
});
