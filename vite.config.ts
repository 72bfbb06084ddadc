import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';
import { modelIndexPlugin } from './tools/lib/model-index.mjs';

// Cross-origin isolation gives the wasm provider its threads; the bridge sends the same headers.
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineConfig({
  // Relative addresses: the built page works under any sub-path of a static host.
  base: './',
  root: 'web/page',
  publicDir: '../../public',
  plugins: [modelIndexPlugin(fileURLToPath(new URL('public/models', import.meta.url)))],
  build: {
    outDir: '../../dist',
    emptyOutDir: true,
    target: 'es2023',
    assetsInlineLimit: 0,
  },
  worker: { format: 'es' },
  server: { headers: isolation },
  preview: { headers: isolation },
});
