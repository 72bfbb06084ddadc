import { isSdxlRefiner, type ModelDescription } from '../compiler/model.ts';
import { type ControlSessions, createBatchControls } from './control/batch-controls.ts';
import type {
  LatentSpace,
  LatentsRequest,
  Sketch,
  TextContext,
  UnetCall,
} from './diffusion-model.ts';
import type { Copies, LatentOps } from './runtime/latent-ops.ts';
import type { ModelSession, Runtime } from './runtime/runtime.ts';
import type { DeviceTensor } from './runtime/tensor.ts';

/** The sessions that a batch's latents pass through. */
export interface BatchSessions {
  /**
   * The part of the UNet that depends on the texts alone: its outputs take the place of `encoder_hidden_states`,
   * `text_embeds` and `time_ids` among the UNet's inputs. null where the UNet is one piece.
   */
  readonly unetContext: ((copies: Copies, tokens: number) => Promise<ModelSession>) | null;
  /** The UNet for `copies` rows a picture and texts of `tokens` tokens. */
  unet(copies: Copies, tokens: number): Promise<ModelSession>;
  /** False when the one-row UNet would push the two-row one out of memory. */
  hasRoomForSingle(tokens: number): boolean;
  vaeDecoder(): Promise<ModelSession>;
  /** Sessions of ControlNets; a UNet that they work with takes their residuals. */
  readonly controls: ControlSessions;
  /** A TAESD's decoder that gives a small picture; null without one. */
  readonly sketch: (() => Promise<ModelSession>) | null;
}

/** Texts that share a run of the UNet, each repeated to `tokens`. */
interface UnetRun {
  readonly contexts: readonly TextContext[];
  readonly tokens: number;
}

/** What a set of texts is to the networks: as a ControlNet takes it, and as the UNet does. */
interface Conditions {
  readonly texts: Readonly<Record<string, DeviceTensor>>;
  readonly unet: Readonly<Record<string, DeviceTensor>>;
}

function copiesOf({ contexts }: UnetRun): Copies {
  return contexts.length === 2 ? 2 : 1;
}

/** Beyond this, texts of unlike lengths meet in one call instead of in the whole batch, or run apart. */
const MAX_COMMON_TOKENS = 20 * 77;

/**
 * The latents of one batch over a runtime. Two texts share a run of the UNet, so that cond and uncond are
 * one batch. Texts of unlike lengths are repeated up to their common multiple: attention over the same
 * keys several times over is the same weighted mean, so nothing changes but the shape.
 */
export function createLatentSpace<T>(
  runtime: Runtime,
  ops: LatentOps<T>,
  sessions: BatchSessions,
  request: LatentsRequest,
  { unetInputs, vaeFactor }: Pick<ModelDescription, 'unetInputs' | 'vaeFactor'>,
): LatentSpace<T> & { dispose(): void } {
  const { pictures } = request;
  const hasMoreChannels = (request.inpaintChannels?.length ?? 0) > 0;
  const jobTokens = commonTokens(request.contexts);
  const controls = request.controls?.length
    ? createBatchControls(runtime, request, sessions.controls)
    : null;
  const states = new Map<string, Conditions>();
  const ids = new Map<TextContext, number>();
  let pairsOnly = false;
  let lastPace = Promise.resolve();

  function contextId(context: TextContext): number {
    const known = ids.get(context) ?? ids.size;
    ids.set(context, known);
    return known;
  }

  /** What the UNet is told beside latents and time: made once for a set of texts. */
  async function conditions(run: UnetRun): Promise<Conditions> {
    const key = `${run.tokens}:${run.contexts.map(contextId).join(',')}`;
    const known = states.get(key);
    if (known) return known;
    const texts = uploadTexts(run);
    try {
      const made = { texts, unet: await unetFeeds(run, texts) };
      states.set(key, made);
      return made;
    } catch (error) {
      for (const tensor of Object.values(texts)) tensor.dispose();
      throw error;
    }
  }

  /** The texts as the UNet takes them. */
  async function unetFeeds(run: UnetRun, texts: Readonly<Record<string, DeviceTensor>>) {
    if (!sessions.unetContext) return texts;
    const { timestep_cond: guidance, ...textual } = texts;
    const session = await sessions.unetContext(copiesOf(run), run.tokens);
    const answers = await session.run(textual);
    return guidance ? { ...answers, timestep_cond: guidance } : answers;
  }

  function uploadTexts({ contexts, tokens }: UnetRun): Record<string, DeviceTensor> {
    const rows = contexts.flatMap((context) => new Array<TextContext>(pictures).fill(context));
    const channels = (contexts[0]?.values.length ?? 0) / (contexts[0]?.tokens ?? 1);
    const perRow = (parts: readonly Float32Array[], shape: readonly number[]) =>
      runtime.upload(repeatInto(parts, shape), [rows.length, ...shape]);
    const made: Record<string, DeviceTensor> = {
      encoder_hidden_states: perRow(
        rows.map(({ values }) => values),
        [tokens, channels],
      ),
    };
    const { textEmbeds, timeIds, timestepCond } = unetInputs;
    if (textEmbeds !== null) {
      const zeros = new Float32Array(textEmbeds);
      made.text_embeds = perRow(
        rows.map((context) => context.textEmbeds ?? zeros),
        [textEmbeds],
      );
    }
    if (timeIds !== null) {
      const [height, width] = [request.height * vaeFactor, request.width * vaeFactor];
      // Original size, where it was cropped, and target size or aesthetic score, as A1111 fills them in.
      const { top, left } = request.crop ?? { top: 0, left: 0 };
      const scores = request.aestheticScores ?? { positive: 6, negative: 2.5 };
      const last = ({ isNegative }: TextContext) =>
        isSdxlRefiner({ unetInputs })
          ? [isNegative ? scores.negative : scores.positive]
          : [height, width];
      made.time_ids = perRow(
        rows.map((context) => Float32Array.of(height, width, top, left, ...last(context))),
        [timeIds],
      );
    }
    if (timestepCond !== null) {
      const embedding = embedGuidanceScale(request.guidanceScale, timestepCond);
      made.timestep_cond = perRow(
        rows.map(() => embedding),
        [timestepCond],
      );
    }
    return made;
  }

  /** The texts of a call in runs of two; a text left over runs alone, or twice where that saves a session. */
  function runsOf(contexts: readonly TextContext[]): UnetRun[] {
    const tokens = jobTokens ?? commonTokens(contexts);
    if (tokens === null) {
      return contexts.map((context) => ({ contexts: [context], tokens: context.tokens }));
    }
    const runs: TextContext[][] = [];
    for (let i = 0; i < contexts.length; i += 2) runs.push(contexts.slice(i, i + 2));
    const last = runs.at(-1);
    const [single] = last ?? [];
    if (contexts.length > 1 || (pairsOnly && !sessions.hasRoomForSingle(tokens))) {
      pairsOnly = true;
      if (last?.length === 1 && single) last.push(single);
    }
    return runs.map((texts) => ({ contexts: texts, tokens }));
  }

  async function predict(x: T, call: UnetCall): Promise<T[]> {
    const partial: T[][] = call.mixes.map(() => []);
    let done = 0;
    const runs = runsOf(call.contexts);
    // All before the first pass: where sessions take turns in memory, the UNet is then not sent away between two.
    for (const run of runs) await conditions(run);
    for (const run of runs) {
      const copies = copiesOf(run);
      const answer = await runUnet(x, call, run, copies, done);
      for (const [place, [ofX = 0, ...shares]] of call.mixes.entries()) {
        // The latents' own share once, with the first run.
        const coefficients = [done === 0 ? ofX : 0, shares[done] ?? 0, shares[done + 1] ?? 0];
        const mixed = await ops.mix(x, answer, coefficients.slice(0, 1 + copies), copies);
        partial[place]?.push(mixed);
      }
      answer.dispose();
      done += copies;
    }
    return Promise.all(
      partial.map((parts) => {
        const [only] = parts;
        if (only !== undefined && parts.length === 1) return only;
        return ops.math.combine(parts.map((part) => [1, part] as const));
      }),
    );
  }

  async function runUnet(
    x: T,
    { inputScale, timestep, contexts, controls: shares = [] }: UnetCall,
    run: UnetRun,
    copies: Copies,
    firstText: number,
  ): Promise<DeviceTensor> {
    const told = await conditions(run);
    const rows = run.contexts.flatMap((_, place) =>
      // A text that runs twice to fill a pair is the same text.
      new Array<number>(pictures).fill(Math.min(firstText + place, contexts.length - 1)),
    );
    const sample = await ops.prepare(x, inputScale, copies);
    const bare =
      controls && hasMoreChannels ? await ops.prepare(x, inputScale, copies, true) : null;
    try {
      // Before the UNet is asked for: of two sessions only the one that runs next has to be in memory.
      const residuals = await controls?.residuals({
        ...{ copies, tokens: run.tokens, sample: bare ?? sample, timestep },
        ...{ conditions: told.texts, rows, shares },
      });
      try {
        const session = await sessions.unet(copies, run.tokens);
        const { out_sample: answer } = await session.run({
          sample,
          timestep: runtime.tensor(new Float32Array(rows.length).fill(timestep), [rows.length]),
          ...told.unet,
          ...residuals?.feeds,
        });
        if (!answer) throw new TypeError('the UNet has no output out_sample');
        return answer;
      } finally {
        residuals?.dispose();
      }
    } finally {
      sample.dispose();
      bare?.dispose();
    }
  }

  async function decode(latents: T, index: number): Promise<Float32Array> {
    const session = await sessions.vaeDecoder();
    const picture = await ops.picture(latents, index);
    try {
      const { image } = await session.run({ latents: picture });
      const values = await image?.read();
      image?.dispose();
      if (values instanceof Float32Array) return values;
      throw new TypeError('the VAE decoder has no output image');
    } finally {
      picture.dispose();
    }
  }

  async function drawSketch(open: () => Promise<ModelSession>, latents: T): Promise<Sketch> {
    const session = await open();
    // Reading back waits for all work before it: what the step still does is not the sketch's time.
    await runtime.settled();
    const startedAt = performance.now();
    const picture = await ops.picture(latents, 0);
    try {
      const { image } = await session.run({ latents: picture });
      const values = await image?.read();
      const [, , height = 0, width = 0] = image?.shape ?? [];
      image?.dispose();
      if (!(values instanceof Float32Array)) throw new TypeError('a TAESD has no output image');
      return { image: values, width, height, milliseconds: performance.now() - startedAt };
    } finally {
      picture.dispose();
    }
  }

  const { sketch } = sessions;
  return {
    math: ops.math,
    predict,
    decode,
    sketch: sketch && ((latents) => drawSketch(sketch, latents)),
    createBlend: ops.createBlend,
    async pace() {
      // On a GPU one step stays in flight, so that the device never waits for JavaScript.
      const previous = lastPace;
      lastPace = runtime.settled();
      await (runtime.device.provider === 'webgpu' ? previous : lastPace);
    },
    dispose() {
      for (const { texts, unet } of states.values()) {
        for (const tensor of Object.values({ ...texts, ...unet })) tensor.dispose();
      }
      controls?.dispose();
      ops.dispose();
    },
  };
}

/** Rows of `shape`, each filled with its values over and over. */
function repeatInto(parts: readonly Float32Array[], shape: readonly number[]): Float32Array {
  const size = shape.reduce((product, side) => product * side, 1);
  const out = new Float32Array(parts.length * size);
  for (const [row, values] of parts.entries()) {
    for (let offset = 0; offset < size; offset += values.length) {
      out.set(values, row * size + offset);
    }
  }
  return out;
}

/**
 * The guidance scale as a latent consistency model takes it: sines and cosines of a thousand times the
 * scale above 1 (Luo et al., arXiv:2310.04378; diffusers' `get_guidance_scale_embedding`).
 */
export function embedGuidanceScale(guidanceScale: number, width: number): Float32Array {
  const half = Math.floor(width / 2);
  const scale = (guidanceScale - 1) * 1000;
  const out = new Float32Array(width);
  for (let i = 0; i < half; i++) {
    const angle = scale * Math.exp((-Math.log(10_000) * i) / (half - 1));
    out[i] = Math.sin(angle);
    out[half + i] = Math.cos(angle);
  }
  return out;
}

/** The length that all texts reach by whole repeats, or null where that is out of proportion. */
function commonTokens(contexts: readonly TextContext[]): number | null {
  let common = 1;
  for (const { tokens } of contexts) common = (common / gcd(common, tokens)) * tokens;
  const longest = Math.max(...contexts.map(({ tokens }) => tokens));
  return common === longest || common <= MAX_COMMON_TOKENS ? common : null;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
