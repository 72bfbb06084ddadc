import { type Browser, type BrowserContext, chromium } from 'playwright';
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

function launchOptions({ webgpu = false }) {
  const executablePath = findChromium();
  if (!executablePath) throw new Error('no Chromium found; npm test installs or names one');
  return {
    executablePath,
    args: webgpu ? [...BASE_FLAGS, ...SOFTWARE_WEBGPU_FLAGS] : BASE_FLAGS,
    ignoreDefaultArgs: webgpu ? ['--disable-gpu'] : [],
  };
}

/** The system's Chromium, headless; with `webgpu` on Dawn's software adapter, with flags of the test's own. */
export function launchBrowser({
  webgpu = false,
  args = [],
}: {
  webgpu?: boolean;
  args?: readonly string[];
} = {}): Promise<Browser> {
  const options = launchOptions({ webgpu });
  return chromium.launch({ ...options, args: [...options.args, ...args] });
}

/**
 * The same with a profile of its own on the disk, as a user's browser has one. The contexts of `launchBrowser`
 * are incognito windows, whose IndexedDB lies in memory and is given up when that gets short.
 */
export function launchProfile(folder: string, { webgpu = false } = {}): Promise<BrowserContext> {
  return chromium.launchPersistentContext(folder, launchOptions({ webgpu }));
}
