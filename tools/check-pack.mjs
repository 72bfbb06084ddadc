// `npm run check:pack`: packs Easel, installs the tarball into an empty folder, starts it with npx and
// asks it for a picture over HTTP. Nothing of the repository is used once the tarball is there.
import { spawn, spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findChromium } from './lib/chromium.mjs';
import { freePort } from './lib/free-port.mjs';
import { ensureDependencies, ROOT, requireNode } from './lib/setup.mjs';

const START_MS = 120_000;
const PICTURE_MS = 120_000;
const STOP_MS = 12_000;
const IS_WINDOWS = process.platform === 'win32';
const PNG = '89504e470d0a1a0a';

function npm(args, cwd) {
  const result = spawnSync('npm', args, {
    cwd,
    encoding: 'utf8',
    shell: IS_WINDOWS,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (result.status !== 0) throw new Error(`npm ${args.join(' ')} ended with ${result.status}`);
  return result.stdout;
}

async function waitFor(url, isThere, ms) {
  const end = Date.now() + ms;
  for (;;) {
    const reply = await fetch(url).then(
      async (found) => ({ status: found.status, body: await found.json() }),
      () => null,
    );
    if (reply && isThere(reply)) return reply;
    if (Date.now() > end) throw new Error(`${url}: not as expected after ${ms / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

async function makePicture(url) {
  const reply = await fetch(`${url}/sdapi/v1/txt2img`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'a red house', steps: 4, width: 256, height: 256, seed: 1 }),
    signal: AbortSignal.timeout(PICTURE_MS),
  });
  if (!reply.ok) throw new Error(`txt2img answered ${reply.status}: ${await reply.text()}`);
  const picture = Buffer.from((await reply.json()).images[0], 'base64');
  if (picture.subarray(0, 8).toString('hex') !== PNG) throw new Error('the answer is no PNG');
  return picture.length;
}

/** Starts the installed package, looks at it, stops it by SIGTERM. */
async function tryPackage(folder) {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const browser = findChromium() ? 'headless' : 'none';
  const flags = ['--port', String(port), '--browser', browser, '--data-dir', join(folder, 'data')];
  const log = openSync(join(folder, 'easel.log'), 'w');
  const child = spawn('npx', ['--no-install', 'easel', ...flags], {
    cwd: join(folder, 'app'),
    stdio: ['ignore', log, log],
    detached: !IS_WINDOWS,
    shell: IS_WINDOWS,
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    const page = (await waitFor(`${url}/health`, () => true, START_MS)).body;
    console.log(`started: version ${page.version}`);
    const html = await fetch(`${url}/`).then((reply) => reply.text());
    if (!html.includes('<script')) throw new Error('the page is not served');
    if (browser === 'none') return console.log('no Chromium on this machine: no picture asked for');
    await waitFor(`${url}/health`, ({ status }) => status === 200, START_MS);
    console.log(`picture: ${await makePicture(url)} bytes of PNG`);
  } catch (error) {
    console.error(readFileSync(join(folder, 'easel.log'), 'utf8'));
    throw error;
  } finally {
    process.kill(IS_WINDOWS ? child.pid : -child.pid, 'SIGTERM');
    const timer = setTimeout(
      () => process.kill(IS_WINDOWS ? child.pid : -child.pid, 'SIGKILL'),
      STOP_MS,
    );
    await ended;
    clearTimeout(timer);
  }
}

requireNode();
ensureDependencies();
const folder = mkdtempSync(join(tmpdir(), 'easel-pack-'));
try {
  const [{ filename, size, unpackedSize, entryCount }] = JSON.parse(
    npm(['pack', '--json', '--loglevel=error', '--pack-destination', folder], ROOT).replace(
      /^[^[]*/s,
      '',
    ),
  );
  const mb = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
  console.log(`packed: ${filename}, ${mb(size)} (${mb(unpackedSize)}, ${entryCount} files)`);
  mkdirSync(join(folder, 'app'));
  writeFileSync(join(folder, 'app', 'package.json'), '{"private":true}');
  npm(['install', '--no-audit', '--no-fund', join(folder, filename)], join(folder, 'app'));
  const modules = readdirSync(join(folder, 'app', 'node_modules')).filter(
    (name) => !name.startsWith('.'),
  );
  console.log(`installed: ${modules.join(', ')}`);
  await tryPackage(folder);
  console.log('1 passed, 0 failed');
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
