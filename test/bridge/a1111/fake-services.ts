import { deflateSync } from 'node:zlib';
import type { BridgeServices, JobRequest, JobResult, JobView } from '../../../bridge/services.ts';
import type { Byproduct } from '../../../protocol/byproducts.ts';
import type { ModelListing } from '../../../protocol/catalog.ts';
import type { EngineStatus } from '../../../protocol/device.ts';
import { GenerationError } from '../../../protocol/errors.ts';
import type { GenerationParams } from '../../../protocol/generation.ts';
import type { JobImage, JobProgress } from '../../../protocol/job.ts';
import type { BridgeCommand } from '../../../protocol/relay.ts';
import { schedulerLabel } from '../../../protocol/samplers.ts';

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c >>> 0;
});

function crc32(bytes: Buffer): number {
  let c = 0xffffffff;
  for (const byte of bytes) c = CRC_TABLE[(c ^ byte) & 0xff]! ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

/** One PNG chunk with its length and checksum. */
export function pngChunk(name: string, data: Buffer): Buffer {
  const head = Buffer.from(name, 'latin1');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(Buffer.concat([head, data])));
  return Buffer.concat([length, head, data, crc]);
}

const PNG_SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');

/** A grey PNG of any size; `chunks` stand before the pixels. */
export function makePng(width: number, height: number, chunks: readonly Buffer[] = []): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  const pixels = deflateSync(Buffer.alloc(Math.min((width + 1) * height, 1 << 22), 0));
  return Buffer.concat([
    PNG_SIGNATURE,
    pngChunk('IHDR', header),
    ...chunks,
    pngChunk('IDAT', pixels),
    pngChunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A PNG with its infotext as A1111 stores it: `tEXt` for Latin-1, else `iTXt`. */
export function makePngWithInfotext(width: number, height: number, infotext: string): Buffer {
  const isLatin = [...infotext].every((c) => c.codePointAt(0)! < 256);
  const chunk = isLatin
    ? pngChunk('tEXt', Buffer.from(`parameters\0${infotext}`, 'latin1'))
    : pngChunk('iTXt', Buffer.from(`parameters\0\0\0\0\0${infotext}`, 'utf8'));
  return makePng(width, height, [chunk]);
}

/** An infotext of the fixed keys, as the engine writes it; the engine's own tests check its every word. */
function infotextOf(params: GenerationParams, seed: number): string {
  const negative = params.negativePrompt ? `\nNegative prompt: ${params.negativePrompt}` : '';
  const pairs = [
    `Steps: ${params.steps}`,
    `Sampler: ${params.sampler}`,
    `Schedule type: ${schedulerLabel(params.scheduler)}`,
    `CFG scale: ${params.guidanceScale.toFixed(1)}`,
    `Seed: ${seed}`,
    `Size: ${params.width}x${params.height}`,
    `Model: ${params.checkpoint ?? 'easel-tiny'}`,
    ...(params.mode === 'img2img' ? [`Denoising strength: ${params.denoisingStrength}`] : []),
    ...(params.clipSkip > 1 ? [`Clip skip: ${params.clipSkip}`] : []),
    'Version: Easel 0.1.0',
  ];
  return `${params.prompt}${negative}\n${pairs.join(', ')}`.trim();
}

function makeImage(jobId: string, params: GenerationParams, index: number): JobImage {
  const seed = params.seed + (params.subseedStrength === 0 ? index : 0);
  const infotext = params.grid?.infotext ?? infotextOf(params, seed);
  return {
    type: 'job-image',
    jobId,
    attempt: 1,
    index,
    format: 'png',
    data: makePngWithInfotext(8, 8, infotext).toString('base64'),
    infotext,
    prompt: params.prompt,
    negativePrompt: params.negativePrompt,
    seed,
    subseed: params.subseed + index,
    width: params.width,
    height: params.height,
    ...(params.byproducts.length > 0 ? { byproducts: byproductsOf(params, index) } : {}),
  };
}

/** What a job asks for beside picture `index`, each told from the others by its size. */
function byproductsOf({ byproducts, controls }: GenerationParams, index: number): Byproduct[] {
  const widths = { mask: 9, 'mask-composite': 10, 'control-map': 11 } as const;
  return byproducts.flatMap((kind): Byproduct[] => {
    const width = Object.entries(widths).find(([key]) => key === kind)?.[1] ?? 12;
    const make = (module: string, height: number) => ({
      ...{ kind, module, format: 'png' as const },
      data: makePng(width, height).toString('base64'),
    });
    if (kind !== 'control-map') return [make('', index + 1)];
    return index === 0 ? controls.map(({ module, unit }) => make(module, unit + 1)) : [];
  });
}

/** What the engine tells of an upscaling job. */
function extraParamsOf({ upscale }: GenerationParams): Record<string, string | number> {
  if (!upscale) return {};
  return { 'Postprocess upscale by': upscale.scale, 'Postprocess upscaler': upscale.upscaler };
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface FakeJob {
  readonly request: JobRequest;
  readonly view: Mutable<JobView>;
  readonly images: JobImage[];
  resolve(result: JobResult): void;
  reject(error: Error): void;
}

export interface FakeOptions {
  readonly models?: readonly ModelListing[];
  readonly hashes?: Readonly<Record<string, string>>;
  readonly settings?: Record<string, unknown>;
  /** The checkpoint that the attached tab has loaded; null attaches no tab. */
  readonly loaded?: string | null;
  /** Jobs wait to be driven by `step`, `finish` and `fail` instead of finishing at once. */
  readonly isManual?: boolean;
  /** No picture can be saved, as on a full disk. */
  readonly isDiskFull?: boolean;
  /** Every submit fails with this. */
  readonly failure?: GenerationError;
  /** Every command to the tabs fails with this. */
  readonly controlFailure?: GenerationError;
}

/** One checkpoint, LoRA or VAE as the library lists it. */
export function listing(
  name: string,
  { kind = 'checkpoint', isFile = true }: { kind?: ModelListing['kind']; isFile?: boolean } = {},
): ModelListing {
  return {
    kind,
    name,
    source: 'bridge',
    filename: `/models/${name}${isFile ? '.safetensors' : ''}`,
    url: 'models/',
    files: isFile
      ? [{ path: `${name}.safetensors`, sizeBytes: 1 }]
      : [
          { path: 'model_index.json', sizeBytes: 1 },
          { path: 'unet/config.json', sizeBytes: 1 },
        ],
    version: '1',
  };
}

export const EMBEDDED: ModelListing = {
  ...listing('easel-tiny', { isFile: false }),
  source: 'embedded',
};

const IDLE_STATUS: EngineStatus = {
  state: 'idle',
  device: null,
  checkpoint: 'easel-tiny',
  precision: 'fp32',
  activity: null,
  message: null,
};

function createFakeJobs({ isManual = false, isDiskFull = false, failure }: FakeOptions) {
  const open: FakeJob[] = [];
  const done: FakeJob[] = [];
  const requests: JobRequest[] = [];
  const results = new Map<string, JobResult>();

  function start(job: FakeJob | undefined) {
    if (!job) return;
    job.view.state = 'running';
    job.view.startedAt = Date.now();
    if (!isManual) finish();
  }

  function close(job: FakeJob) {
    open.splice(open.indexOf(job), 1);
    done.push(job);
    if (open[0]?.view.state === 'waiting') start(open[0]);
  }

  function finish(interrupted = false, isSkipped = false) {
    const job = open[0]!;
    const { params } = job.request;
    const count = params.batchSize * params.batchCount;
    while (!interrupted && !isSkipped && job.images.length < count) {
      job.images.push(makeImage(job.view.jobId, params, job.images.length));
    }
    const result: JobResult = {
      jobId: job.view.jobId,
      images: job.images,
      savedAs: job.images.map(() => (isDiskFull ? null : '/pictures/1.png')),
      summary: {
        interrupted,
        width: params.width,
        height: params.height,
        checkpoint: params.checkpoint ?? 'easel-tiny',
        checkpointHash: null,
        clipSkip: params.clipSkip,
        extraParams: extraParamsOf(params),
        notes: params.notes,
        timings: {
          totalSeconds: 0,
          loadSeconds: 0,
          encodeSeconds: 0,
          sampleSeconds: 0,
          decodeSeconds: 0,
          runSeconds: 0,
          readBacks: 0,
          uploads: 0,
          uploadedBytes: 0,
        },
      },
    };
    job.view.state = 'finished';
    job.view.isInterrupted = interrupted;
    results.set(job.view.jobId, result);
    close(job);
    job.resolve(result);
  }

  const jobs: BridgeServices['jobs'] = {
    assertRoom: () => {},
    submit(request, { signal, onAccepted } = {}) {
      requests.push(request);
      if (failure) return Promise.reject(failure);
      return new Promise<JobResult>((resolve, reject) => {
        const view: Mutable<JobView> = {
          jobId: `job-${requests.length}`,
          client: request.client,
          key: request.key,
          state: 'waiting',
          params: request.params,
          acceptedAt: Date.now(),
          startedAt: null,
          progress: null,
          preview: null,
          isInterrupted: false,
          isSkipped: false,
          error: null,
        };
        const job: FakeJob = { request, view, images: [], resolve, reject };
        open.push(job);
        onAccepted?.(view.jobId);
        signal?.addEventListener('abort', () => {
          if (view.state !== 'waiting') return;
          open.splice(open.indexOf(job), 1);
          reject(new GenerationError('cancelled', 'The client went away.'));
        });
        if (open.length === 1) start(job);
      });
    },
    view: () => {
      const current = open.find((job) => job.view.state === 'running');
      return {
        waiting: open.filter((job) => job.view.state === 'waiting').length,
        running: current ? 1 : 0,
        limit: 64,
        current: current?.view ?? null,
      };
    },
    list: () => open.map((job) => job.view),
    find: (by) => {
      if ('last' in by) return done.at(-1)?.view ?? null;
      const isMeant = ({ view }: FakeJob) =>
        'key' in by ? view.key === by.key : view.jobId === by.jobId;
      return [...open, ...done].find(isMeant)?.view ?? null;
    },
    result: async (jobId) => results.get(jobId) ?? null,
    interrupt() {
      if (open[0]?.view.state === 'running') finish(true);
    },
    skip() {
      if (open[0]?.view.state === 'running') open[0].view.isSkipped = true;
    },
    onEvent: () => () => {},
  };

  return {
    jobs,
    requests,
    /** Reports sampling progress of the running job. */
    step(step: number, imageIndex = 0, patch: Partial<JobProgress> = {}) {
      const { view } = open[0]!;
      const { params } = view;
      view.progress = {
        type: 'job-progress',
        jobId: view.jobId,
        attempt: 1,
        stage: 'sampling',
        imageIndex,
        imageCount: params.batchSize * params.batchCount,
        step,
        steps: params.steps,
        fraction: step / params.steps,
        etaSeconds: null,
        message: '',
        ...patch,
      };
    },
    /** Shows a preview of the running job. */
    preview(data: string) {
      open[0]!.view.preview = data;
    },
    /** One picture of the running job is done. */
    image() {
      const job = open[0]!;
      job.images.push(makeImage(job.view.jobId, job.request.params, job.images.length));
    },
    finish: () => finish(),
    /** The running job ends as one whose pictures were skipped. */
    finishWithout: () => finish(false, true),
    fail(error: GenerationError) {
      const job = open[0]!;
      job.view.state = 'failed';
      close(job);
      job.reject(error);
    },
  };
}

/** The bridge's services as plain objects, with the handles that tests drive them by. */
export function fakeServices(options: FakeOptions = {}) {
  const { models = [EMBEDDED], hashes = {}, settings = {}, loaded = 'easel-tiny' } = options;
  const { jobs, ...queue } = createFakeJobs(options);
  const commands: BridgeCommand[] = [];
  const library = { refreshes: 0 };
  const status = { ...IDLE_STATUS, checkpoint: loaded };
  const services: BridgeServices = {
    jobs,
    engines: {
      list: () => (loaded === null ? [] : [{ id: 'e1', status, catalog: { checkpoints: [] } }]),
      async control(command) {
        if (loaded === null) throw new GenerationError('no-tab', 'No tab is attached.');
        if (options.controlFailure) throw options.controlFailure;
        commands.push(command);
      },
    },
    models: {
      list: async (kind) => models.filter((model) => model.kind === kind),
      sha256: (model) => hashes[model.name] ?? null,
      legacyHash: async (model) => hashes[model.name]?.slice(0, 8) ?? null,
      async refresh() {
        library.refreshes++;
      },
    },
    settings: {
      get: () => settings,
      async set(changes) {
        Object.assign(settings, changes);
      },
    },
    outputs: { root: '/pictures', folder: '/pictures', save: async () => '/pictures/1.png' },
  };
  return { services, commands, settings, library, status, ...queue };
}
