import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FLAGS, FOREIGN_FLAGS } from '../../../bridge/options/flag-table.ts';
import { type BridgeOptions, UsageError } from '../../../bridge/options/options.ts';
import { defaultDataFolder, parseCommand } from '../../../bridge/options/parse-command.ts';
import { temporaryFolder } from '../support.ts';

const folder = temporaryFolder();
const cwd = folder.path;

beforeAll(() => {
  writeFileSync(join(cwd, 'passwords'), '# comment\nann:one:two\n\nbob:three\n');
  writeFileSync(join(cwd, 'empty'), '# nothing\n');
  writeFileSync(join(cwd, 'mine.safetensors'), '');
  writeFileSync(join(cwd, 'mine.ckpt'), '');
  writeFileSync(join(cwd, 'cert.pem'), '');
  writeFileSync(join(cwd, 'key.pem'), '');
  mkdirSync(join(cwd, 'diffusers-model'));
});
afterAll(() => folder.remove());

function options(...argv: string[]): BridgeOptions {
  const command = parseCommand(argv, { cwd });
  if (command.type !== 'serve') throw new Error(`not serve but ${command.type}`);
  return command.options;
}

function refusal(...argv: string[]): string {
  try {
    parseCommand(argv, { cwd });
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  throw new Error('was accepted');
}

describe('the command line', () => {
  it('has the defaults that the design states', () => {
    expect(options('--data-dir', '/data')).toEqual({
      port: 7860,
      lora: null,
      listen: null,
      tls: null,
      credentials: [],
      passwordFile: null,
      origins: [],
      hasDefaultOrigins: true,
      allowsNullOrigin: false,
      hosts: [],
      printLinks: false,
      browser: 'auto',
      engine: {
        device: 'auto',
        precision: 'auto',
        checkpoint: null,
        vae: null,
        allocator: 'caching',
        unloadIdleMinutes: null,
      },
      folders: {
        checkpoint: '/data/models/Stable-diffusion',
        lora: '/data/models/Lora',
        vae: '/data/models/VAE',
        embedding: '/data/models/embeddings',
        esrgan: '/data/models/ESRGAN',
        controlnet: '/data/models/ControlNet',
        taesd: '/data/models/VAE-approx',
      },
      checkpointPath: null,
      vaePath: null,
      outputFolder: '/data/generated_imgs',
      outputFormat: 'png',
      savesMetadata: false,
      saveImages: 'all',
      queueSize: 64,
      engineWaitMs: 30_000,
      finishOrphans: false,
      downloads: {
        hubEndpoint: 'https://huggingface.co',
        tokens: { hub: null, civitai: null },
        checkpoint: null,
        ownHosts: [],
      },
      dataFolder: '/data',
      logLevel: 'info',
      logFormat: 'text',
      redis: null,
    });
  });

  it.each([
    ['--port 8000', { port: 8000 }],
    ['--server-port 8000', { port: 8000 }],
    ['--server_port=8000', { port: 8000 }],
    ['--api', { port: 7860 }],
    ['--api=true', { port: 7860 }],
    [
      '--cors-allow-origins https://a.example,b.example:1',
      { origins: ['https://a.example', 'b.example:1'] },
    ],
    [
      '--api_accept_origin http://a:1 --api_cors_origin http://b:2',
      { origins: ['http://a:1', 'http://b:2'] },
    ],
    ['--cors-allow-origins *', { origins: ['*'] }],
    ['--allowed-hosts a.example --allow-host b.example', { hosts: ['a.example', 'b.example'] }],
    ['--browser headless', { browser: 'headless' }],
    ['--output_img_format jpg', { outputFormat: 'jpg' }],
    ['--use-lora ink.safetensors', { lora: { name: 'ink', strength: 1 } }],
    ['--use_lora ink --lora_strength 0.6', { lora: { name: 'ink', strength: 0.6 } }],
    ['--save_metadata_to_json', { savesMetadata: true }],
    ['--save_metadata_to_json=false', { savesMetadata: false }],
    ['--save-images requested', { saveImages: 'requested' }],
    ['--queue-size 3', { queueSize: 3 }],
    ['--engine-wait 0.5', { engineWaitMs: 500 }],
    ['--finish-orphans', { finishOrphans: true }],
    ['--no-default-origins', { hasDefaultOrigins: false }],
    ['--cors-allow-null-origin', { allowsNullOrigin: true }],
    ['--output-dir pictures', { outputFolder: join(cwd, 'pictures') }],
    ['--log-level debug', { logLevel: 'debug' }],
    [
      '--api-auth ann:one:two,bob:x',
      {
        credentials: [
          { user: 'ann', password: 'one:two' },
          { user: 'bob', password: 'x' },
        ],
      },
    ],
    [
      '--api-auth-file passwords',
      {
        credentials: [
          { user: 'ann', password: 'one:two' },
          { user: 'bob', password: 'three' },
        ],
      },
    ],
    ['--listen --api-auth a:b', { listen: '0.0.0.0' }],
    ['--listen 192.168.1.5 --api-auth a:b', { listen: '192.168.1.5' }],
    [
      '--tls-certfile cert.pem --tls-keyfile key.pem',
      { tls: { certFile: join(cwd, 'cert.pem'), keyFile: join(cwd, 'key.pem') } },
    ],
  ])('reads %s', (line, expected) => {
    expect(options(...line.split(' '))).toMatchObject(expected);
  });

  it.each([
    ['--ckpt easel-tiny', 'easel-tiny', null],
    ['--hf-model-id easel-tiny', 'easel-tiny', null],
    ['--ckpt ./mine.safetensors', 'mine', join(cwd, 'mine.safetensors')],
    ['--ckpt elsewhere.safetensors', 'elsewhere', null],
    ['--ckpt ./diffusers-model', 'diffusers-model', join(cwd, 'diffusers-model')],
  ])('takes a name or a path: %s', (line, name, path) => {
    const { engine, checkpointPath } = options(...line.split(' '));
    expect([engine.checkpoint, checkpointPath]).toEqual([name, path]);
  });

  it.each([
    ['--custom-vae kl-f8', 'kl-f8', null],
    ['--vae-path ./mine.safetensors', 'mine', join(cwd, 'mine.safetensors')],
  ])('takes a VAE by name or path: %s', (line, name, path) => {
    const { engine, vaePath } = options(...line.split(' '));
    expect([engine.vae, vaePath]).toEqual([name, path]);
  });

  it('takes what is to be downloaded for --ckpt and --hf-model-id, with keys from the environment', () => {
    const read = (line: string, env = {}) => {
      const command = parseCommand(line.split(' '), { cwd, env });
      if (command.type !== 'serve') throw new Error('not a command line that serves');
      return command.options;
    };
    const options = read('--hf-model-id owner/name', { HF_TOKEN: 'hf_x', CIVITAI_TOKEN: 'c' });
    expect(options.engine.checkpoint).toBeNull();
    expect(options.downloads).toEqual({
      hubEndpoint: 'https://huggingface.co',
      checkpoint: 'owner/name',
      ownHosts: [],
      tokens: { hub: 'hf_x', civitai: 'c' },
    });
    const local = read('--ckpt http://localhost:8000/x.safetensors --hf-token hf_y', {
      ...{ HF_TOKEN: 'hf_x', HF_ENDPOINT: 'http://127.0.0.1:9/' },
    });
    expect(local.downloads.ownHosts).toEqual(['127.0.0.1:9', 'localhost:8000']);
    expect(local.downloads.hubEndpoint).toBe('http://127.0.0.1:9');
    expect(local.downloads.tokens.hub).toBe('hf_y');
    expect(() => read('--port 1', { HF_ENDPOINT: 'http://mirror.example' })).toThrow(/only https/);
  });

  it.each([
    ['--prot 1', '--port'],
    ['--out-dir x', '--output-dir'],
    ['--server-prot 1', '--server-port'],
    ['--pormpt x', '--prompt'],
    ['--cors-allow-origin x', '--cors-allow-origins'],
    ['--precison fp16', '--precision'],
    ['--negative_promt x', '--negative-prompt'],
    ['--quue-size 1', '--queue-size'],
    ['--borwser none', '--browser'],
  ])('names the nearest flag for %s', (line, nearest) => {
    expect(refusal(...line.split(' '))).toContain(`Did you mean ${nearest}?`);
  });

  it('names what to use instead of flags of SHARK and A1111 that Easel lacks', () => {
    for (const [name, advice] of Object.entries(FOREIGN_FLAGS)) {
      expect(refusal(`--${name}`)).toBe(`Easel has no --${name}. ${advice}`);
    }
    expect(refusal('--local_tank_cache', 'x')).toContain('kept in the browser');
  });

  it('takes the address of a shared queue, and never repeats its password', () => {
    expect(options('--redis', 'redis://:secret@host:6379/2').redis).toBe(
      'redis://:secret@host:6379/2',
    );
    const sentence = refusal('--redis', 'http://:secret@host');
    expect(sentence).toContain('redis://HOST:6379');
    expect(sentence).not.toContain('secret');
  });

  it.each([
    ['--port', 'needs a value'],
    ['--port --api', 'needs a value'],
    ['--port many', 'whole number from 0 to 65535'],
    ['--port 65536', 'whole number from 0 to 65535'],
    ['--port -1', 'whole number'],
    ['--port 1e3', 'whole number'],
    ['--browser firefox', 'auto, open, headless, none'],
    ['--precision fp8', 'fp16'],
    ['--queue-size 0', 'from 1'],
    ['--api=maybe', 'neither true nor false'],
    ['--api-auth secret', 'USER:PASS'],
    ['--api-auth :x', 'USER:PASS'],
    ['--api-auth-file missing', 'cannot be read'],
    ['--api-auth-file empty', 'holds no USER:PASS line'],
    ['--tls-certfile cert.pem', 'go together'],
    ['--tls-certfile cert.pem --tls-keyfile missing.pem', 'no file missing.pem'],
    ['--ckpt ./missing.safetensors', 'no file or folder'],
    ['--ckpt http://far.example/x.safetensors', 'https'],
    ['--ckpt https://huggingface.co/datasets/a/b', 'is no model'],
    ['--hf-token \u00e4', 'no access token'],
    ['--ckpt ./mine.ckpt', 'pickle'],
    ['--ckpt-dir mine.safetensors', 'is a file'],
    ['--steps 20', 'goes with --prompt'],
    ['stray', 'belongs to no flag'],
    ['--prompt x --steps 0', 'from 1 to 1000'],
    ['--prompt x --width 32', 'from 64 to 4096'],
    ['--prompt x --sampler nothing', 'is not known'],
    ['--prompt x --out picture.gif', 'none of .png'],
  ])('refuses %s', (line, part) => {
    expect(refusal(...line.split(' '))).toContain(part);
  });

  it('S1 refuses --listen without a password, naming both flags', () => {
    const message = refusal('--listen');
    expect(message).toContain('--listen');
    expect(message).toContain('--api-auth');
    expect(refusal('--listen', '0.0.0.0')).toBe(message);
  });

  it('reads the one-picture command', () => {
    const command = parseCommand(
      [
        '--prompt',
        'a red apple, 3d',
        '--negative_prompt',
        'blur',
        '--steps',
        '8',
        '--seed',
        '5',
        '--width',
        '256',
        '--cfg-scale',
        '5.5',
        '--sampler',
        'k_euler_a',
        '--scheduler',
        'Karras',
        '--out',
        'apple.webp',
      ],
      { cwd },
    );
    if (command.type !== 'picture') throw new Error(command.type);
    expect(command.picture).toEqual({
      out: join(cwd, 'apple.webp'),
      params: {
        mode: 'txt2img',
        prompt: 'a red apple, 3d',
        negativePrompt: 'blur',
        steps: 8,
        seed: 5,
        width: 256,
        height: 512,
        guidanceScale: 5.5,
        sampler: 'Euler a',
        scheduler: 'karras',
        checkpoint: null,
        outputFormat: 'webp',
      },
    });
  });

  it('draws a seed where none is given', () => {
    const seeds = [1, 2, 3].map(() => {
      const command = parseCommand(['--prompt', 'x'], { cwd });
      return command.type === 'picture' ? command.picture.params.seed : null;
    });
    expect(new Set(seeds).size).toBe(3);
    expect(seeds.every((seed) => typeof seed === 'number' && seed >= 0)).toBe(true);
  });

  it('lists every flag with its default in --help, and prints the version', () => {
    const help = parseCommand(['-h'], { cwd });
    if (help.type !== 'print') throw new Error(help.type);
    for (const flag of FLAGS) {
      for (const name of flag.names) expect(help.text).toContain(`--${name}`);
      if ('shown' in flag) expect(help.text).toContain(`[${flag.shown}]`);
    }
    expect(parseCommand(['--version'], { cwd })).toEqual({ type: 'print', text: 'Easel 0.1.0' });
  });

  it.each([
    ['linux', { XDG_DATA_HOME: '/x' }, '/x/easel'],
    ['linux', { XDG_DATA_HOME: 'relative' }, '/home/me/.local/share/easel'],
    ['linux', {}, '/home/me/.local/share/easel'],
    ['darwin', {}, '/home/me/Library/Application Support/Easel'],
  ] as const)('keeps its data where %s keeps application data', (platform, env, expected) => {
    expect(defaultDataFolder({ platform, env, home: '/home/me' })).toBe(expected);
  });
});
