import asyncifyGlue from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs?url';
import asyncifyWasm from 'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm?url';
import jspiGlue from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs?url';
import jspiWasm from 'onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm?url';
import wasmGlue from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url';
import wasmBinary from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url';

/** onnxruntime-web as a module. */
export type Ort = typeof import('onnxruntime-web/wasm');

/**
 * The runtime's builds: `jspi` and `asyncify` carry the native WebGPU provider, `wasm` the processor
 * alone. `jspi` is smaller and reads weights lazily, but needs the browser's JSPI.
 */
export type BundleName = 'jspi' | 'asyncify' | 'wasm';

/** The build for a provider in this browser. */
export function bundleFor(provider: 'webgpu' | 'wasm'): BundleName {
  if (provider === 'wasm') return 'wasm';
  return 'Suspending' in WebAssembly ? 'jspi' : 'asyncify';
}

/** Threads that the wasm provider may use: more than one needs cross-origin isolation. */
export function wasmThreads(): number {
  if (!globalThis.crossOriginIsolated) return 1;
  return Math.max(1, Math.min(navigator.hardwareConcurrency, 8));
}

/** Loads one build, and only that; glue and wasm come from our own address, whatever the sub-path. */
export async function loadBundle(name: BundleName, threads: number): Promise<Ort> {
  switch (name) {
    case 'jspi':
      return configure(await import('onnxruntime-web/jspi'), jspiGlue, jspiWasm, threads);
    case 'asyncify':
      return configure(await import('onnxruntime-web/webgpu'), asyncifyGlue, asyncifyWasm, threads);
    case 'wasm':
      return configure(await import('onnxruntime-web/wasm'), wasmGlue, wasmBinary, threads);
  }
}

function configure(ort: Ort, glue: string, wasm: string, threads: number): Ort {
  // `new URL` with the worker's own address: a relative asset path is relative to this module.
  ort.env.wasm.wasmPaths = {
    mjs: new URL(glue, import.meta.url).href,
    wasm: new URL(wasm, import.meta.url).href,
  };
  ort.env.wasm.numThreads = threads;
  ort.env.logLevel = 'error';
  return ort;
}
