import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { extname, join } from 'node:path';
import type { Browser, Page } from 'playwright';
import { build } from 'vite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildGraph, type GraphOptions } from '../../web/compiler/build-graph.ts';
import { openCheckpoint } from '../../web/compiler/checkpoint.ts';
import { compileCheckpoint } from '../../web/compiler/compile.ts';
import type { CompiledModel, ComponentName, GraphShape } from '../../web/compiler/model.ts';
import { folderFiles, MODELS } from '../compiler/lib/files.ts';
import { type ReferenceCase, type References, readReferences } from '../compiler/lib/references.ts';
import { component, MemorySink, maxDifference } from '../compiler/lib/runtime.ts';
import { freePort, ROOT } from './support/bridge.ts';
import { launchBrowser } from './support/browser.ts';
import type { GraphRun } from './webgpu-references/page.ts';

/** What the promise allows WebGPU over the references' own tolerance. */
const FACTOR = 4;
/** Some twenty runs at a software adapter's pace. */
const TIMEOUT_MS = 600_000;
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

type Feed = GraphRun['feeds'][string];

describe('sd15-tiny in fp32 on a software adapter, against transformers and diffusers', () => {
  const sink = new MemorySink();
  const files = new Map<string, Uint8Array>();
  let references: References;
  let model: CompiledModel;
  let folder: string;
  let server: Server;
  let browser: Browser;
  let page: Page;

  beforeAll(async () => {
    references = await readReferences('sd15-tiny');
    const checkpoint = await openCheckpoint(await folderFiles(join(MODELS, 'sd15-tiny')));
    model = await compileCheckpoint(checkpoint, { precision: 'fp32', sink });
    folder = mkdtempSync(join(tmpdir(), 'easel-references-'));
    await build({
      root: join(ROOT, 'test/e2e/webgpu-references'),
      configFile: false,
      publicDir: false,
      logLevel: 'error',
      base: './',
      build: { outDir: folder, emptyOutDir: true, target: 'es2023', assetsInlineLimit: 0 },
    });
    const port = await freePort();
    server = createServer((request, response) => {
      const path = (request.url ?? '/').split('?')[0] ?? '/';
      const made = files.get(path);
      const file = join(folder, path === '/' ? 'index.html' : path);
      if (!made && !statSync(file, { throwIfNoEntry: false })?.isFile()) {
        response.writeHead(404).end();
        return;
      }
      const type = TYPES[extname(file)] ?? 'application/octet-stream';
      response.writeHead(200, { 'content-type': type }).end(made ?? readFileSync(file));
    });
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    browser = await launchBrowser({ webgpu: true });
    page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.waitForFunction(() => 'runGraph' in globalThis);
  });

  afterAll(async () => {
    await browser?.close();
    server?.close();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  /** Runs a component's graph in the browser; every output is within four times its tolerance. */
  async function check(
    name: ComponentName,
    shape: GraphShape,
    feeds: Record<string, Feed>,
    expected: Record<string, string>,
    options: GraphOptions = {},
  ): Promise<void> {
    const built = buildGraph(component(model, name), shape, { ...options, provider: 'webgpu' });
    const key = `${name}-${Object.values(shape).join('x')}-${options.clipSkip ?? 1}`;
    files.set(`/${key}.onnx`, built.onnx);
    for (const [index, bytes] of sink.bytes(name).entries()) {
      files.set(`/${name}.${index}.bin`, bytes);
    }
    const shards = built.shardPaths.map((_, index) => `/${name}.${index}.bin`);
    const run: GraphRun = { graph: `/${key}.onnx`, shardPaths: built.shardPaths, shards, feeds };
    const { adapter, outputs } = await page.evaluate((what) => globalThis.runGraph(what), run);
    expect(adapter).toMatch(/swiftshader/i);
    for (const [output, reference] of Object.entries(expected)) {
      const difference = maxDifference(outputs[output] ?? [], references.tensor(reference).data);
      const limit = FACTOR * references.tolerance(reference);
      expect(difference, `${reference}: ${difference}`).toBeLessThanOrEqual(limit);
    }
  }

  const f32 = (name: string, factor = 1): Feed => {
    const { data, shape } = references.tensor(name);
    return { dtype: 'float32', shape, values: data.map((value) => value * factor) };
  };
  const casesOf = async (name: string): Promise<ReferenceCase[]> =>
    (await readReferences('sd15-tiny')).cases.filter((entry) => entry.component === name);

  it('text encoder, clip skip 1 to 4 and pooled', { timeout: TIMEOUT_MS }, async () => {
    for (const { inputs, outputs } of await casesOf('text_encoder')) {
      const { data, shape } = references.tensor(inputs.input_ids!);
      const [batch = 0, tokens = 0] = shape;
      for (const clipSkip of [1, 2, 3, 4]) {
        await check(
          'text_encoder',
          { batch, tokens, latentHeight: 1, latentWidth: 1 },
          { input_ids: { dtype: 'int32', shape, values: data } },
          { hidden_states: outputs[`clip_skip_${clipSkip}`]!, pooled: outputs.pooled! },
          { clipSkip, pooled: true },
        );
      }
    }
  });

  it('UNet: every timestep, size and length of context', { timeout: TIMEOUT_MS }, async () => {
    for (const { inputs, outputs } of await casesOf('unet')) {
      const [batch = 0, , latentHeight = 0, latentWidth = 0] = references.tensor(
        inputs.sample!,
      ).shape;
      const [, tokens = 0] = references.tensor(inputs.encoder_hidden_states!).shape;
      await check(
        'unet',
        { batch, latentHeight, latentWidth, tokens },
        {
          sample: f32(inputs.sample!),
          timestep: f32(inputs.timestep!),
          encoder_hidden_states: f32(inputs.encoder_hidden_states!),
        },
        { out_sample: outputs.sample! },
      );
    }
  });

  it('VAE, both ways', { timeout: TIMEOUT_MS }, async () => {
    const { scalingFactor, vaeFactor } = model.description;
    for (const { inputs, outputs } of await casesOf('vae')) {
      const isEncoding = inputs.image !== undefined;
      const name = inputs.image ?? inputs.latent!;
      const [batch = 0, , height = 0, width = 0] = references.tensor(name).shape;
      const factor = isEncoding ? vaeFactor : 1;
      const shape = {
        batch,
        latentHeight: height / factor,
        latentWidth: width / factor,
        tokens: 1,
      };
      await check(
        isEncoding ? 'vae_encoder' : 'vae_decoder',
        shape,
        isEncoding ? { sample: f32(name) } : { latents: f32(name, scalingFactor) },
        isEncoding
          ? { latent_mean: outputs.mean!, latent_std: outputs.std! }
          : { image: outputs.image! },
      );
    }
  });
});
