import { type Browser, chromium } from 'playwright';
import { findChromium } from '../../../tools/lib/chromium.mjs';

const BASE_FLAGS = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** Dawn on SwiftShader: right results, slow, no shader-f16. */
const SOFTWARE_WEBGPU_FLAGS = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-features=Vulkan',
];

/** The system's Chromium, headless; with `webgpu` on Dawn's software adapter. */
export function launchBrowser({ webgpu = false } = {}): Promise<Browser> {
  const executablePath = findChromium();
  if (!executablePath) throw new Error('no Chromium found; npm test installs or names one');
  return chromium.launch({
    executablePath,
    args: webgpu ? [...BASE_FLAGS, ...SOFTWARE_WEBGPU_FLAGS] : BASE_FLAGS,
    ignoreDefaultArgs: webgpu ? ['--disable-gpu'] : [],
  });
}
