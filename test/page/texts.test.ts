import { describe, expect, it } from 'vitest';
import { ERROR_CODES } from '../../protocol/errors.ts';
import { JOB_STAGES } from '../../protocol/job.ts';
import { deviceLine, needsReason } from '../../web/page/device-text.ts';
import { formatBytes, formatDuration } from '../../web/page/format.ts';
import { engineProgressView, jobProgressView } from '../../web/page/progress-text.ts';
import { pickLanguage, t } from '../../web/page/strings/strings.ts';
import { IDLE } from '../fakes/fake-engine.ts';

const PROGRESS = {
  stage: 'sampling',
  imageIndex: 0,
  imageCount: 1,
  step: 3,
  steps: 20,
  fraction: 0.15,
  etaSeconds: 65,
  message: '',
} as const;

const DEVICE = {
  provider: 'wasm',
  adapter: 'WebAssembly',
  isSoftware: false,
  hasShaderF16: false,
  maxBufferBytes: 0,
  maxStorageBindingBytes: 0,
  wasmThreads: 1,
  reason: 'navigator.gpu is missing.',
} as const;

describe('formats', () => {
  it.each([
    [0, '0 s'],
    [59.4, '59 s'],
    [59.6, '1 min 0 s'],
    [125, '2 min 5 s'],
    [3780, '1 h 3 min'],
    [-3, '0 s'],
  ])('%s seconds', (seconds, text) => expect(formatDuration(seconds)).toBe(text));

  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [450 * 1024, '450 KiB'],
    [2 ** 31, '2 GiB'],
  ])('%s bytes', (bytes, text) => expect(formatBytes(bytes)).toBe(text));
});

describe('progress in words', () => {
  it('has step and time left', () => {
    expect(jobProgressView(PROGRESS)).toEqual({
      percent: 15,
      title: 'Step 3 of 20',
      detail: '1 min 5 s left',
    });
  });

  it('names the picture of a batch, and never says 100 before the end', () => {
    const view = jobProgressView({ ...PROGRESS, imageIndex: 1, imageCount: 4, fraction: 1 });
    expect(view.detail).toBe('Picture 2 of 4 · 1 min 5 s left');
    expect(view.percent).toBe(99);
  });

  it('has words for every stage', () => {
    for (const stage of JOB_STAGES) {
      expect(jobProgressView({ ...PROGRESS, stage, steps: 0 }).title).not.toBe('');
    }
    expect(jobProgressView(null).percent).toBeNull();
  });

  it('tells what the engine does of itself, and of jobs that are not ours', () => {
    expect(engineProgressView(IDLE)).toBeNull();
    expect(engineProgressView({ ...IDLE, state: 'busy' })?.title).toMatch(/API client/);
    const activity = { kind: 'compile', what: 'unet', done: 0.42, etaSeconds: 12 } as const;
    expect(engineProgressView({ ...IDLE, state: 'compiling', activity })).toMatchObject({
      percent: 42,
      detail: '12 s left',
    });
  });
});

describe('device in words', () => {
  it('says wasm and why when there is no usable adapter', () => {
    expect(deviceLine(DEVICE)).toMatch(/wasm/);
    expect(needsReason(DEVICE)).toBe(true);
  });

  it('names the adapter', () => {
    const gpu = { ...DEVICE, provider: 'webgpu', adapter: 'NVIDIA RTX' } as const;
    expect(deviceLine(gpu)).toContain('NVIDIA RTX');
    expect(needsReason(gpu)).toBe(false);
    expect(deviceLine({ ...gpu, isSoftware: true })).toMatch(/software/);
    expect(deviceLine(null)).not.toBe('');
  });
});

describe('strings', () => {
  it('have advice for every error code', () => {
    for (const code of ERROR_CODES) expect(t.problems.fix[code]).toMatch(/\.$/);
  });

  it('fall back to English', () => {
    expect(pickLanguage(['de-CH', 'en-GB']).language).toBe('en');
    expect(pickLanguage([]).language).toBe('en');
  });
});
