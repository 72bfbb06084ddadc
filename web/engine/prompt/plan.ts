import { GenerationError } from '../../../protocol/errors.ts';
import {
  CHUNK_LENGTH,
  type ChunkOptions,
  chunkPrompt,
  emptyChunk,
  networkTokens,
  type PromptChunk,
} from './chunks.ts';
import { composePrompts } from './composition.ts';
import type { EmbeddingPlace } from './embeddings.ts';
import type { EmphasisMode } from './emphasis.ts';
import { type ExtraNetworks, parseBatchNetworks } from './extra-networks.ts';
import { type ScheduledText, schedulePrompt } from './schedules.ts';
import type { ClipTokenizer } from './tokenizer.ts';

/**
 * One call of a text encoder: the same chunk of every text of a group. Rows are texts. Its output is weighed with
 * `applyEmphasis(batch.emphasis, z, batch.multipliers, batch)`.
 */
export interface ChunkBatch {
  /** 77 ids for the network, padding in place. */
  readonly tokens: readonly (readonly number[])[];
  readonly multipliers: readonly (readonly number[])[];
  readonly embeddings: readonly (readonly EmbeddingPlace[])[];
  readonly emphasis: EmphasisMode;
  /** How often each row counts: the group's `repeats`. */
  readonly repeats: readonly number[];
}

/**
 * Texts that are encoded together: the distinct entries of one schedule. `Original` emphasis takes its mean over such
 * a group, so the grouping is part of the result.
 */
export interface EncodeGroup {
  readonly texts: readonly string[];
  /** How many entries have each text; A1111's batch has it as often. */
  readonly repeats: readonly number[];
  readonly isNegative: boolean;
  /** For each tokenizer the group's chunks in order; their outputs follow each other along the token axis. */
  readonly encoders: readonly (readonly ChunkBatch[])[];
}

/** One text's conditioning: `groups[group].texts[row]`. */
export interface ConditioningRef {
  readonly group: number;
  readonly row: number;
}

/** One part of a prompt composed with AND. */
export interface WeightedRef extends ConditioningRef {
  readonly weight: number;
}

/** Which conditioning is in force in one pass; calls of the network are counted from 0. Outer lists are images. */
export interface PassConditioning {
  condAt(call: number): readonly (readonly WeightedRef[])[];
  uncondAt(call: number): readonly ConditioningRef[];
  /** An empty prompt, where the request asked for one. */
  readonly empty?: ConditioningRef | null;
}

export interface ConditioningPlan {
  /** Distinct groups, each to be encoded once; the negative prompts' come first. */
  readonly groups: readonly EncodeGroup[];
  readonly firstPass: PassConditioning;
  readonly hiresPass: PassConditioning | null;
  /** Tags of the first prompt, and of the hires pass's first prompt where it has its own. */
  readonly networks: ExtraNetworks['networks'];
  readonly hiresNetworks: ExtraNetworks['networks'] | null;
  /** Largest token count of the pass's texts, as the prompt box shows it. */
  readonly tokenCount: number;
}

export interface PassSteps {
  readonly steps: number;
  /** A second order sampler calls the network twice a step, and schedules are laid over twice the steps. */
  readonly isSecondOrder?: boolean;
}

export interface HiresConditioning extends PassSteps {
  /** The second pass's own prompts; without them the first pass's are used. */
  readonly prompts?: readonly string[];
  readonly negativePrompts?: readonly string[];
}

export interface ConditioningRequest extends PassSteps {
  /** One prompt per image of the batch, styles applied, tags still in. */
  readonly prompts: readonly string[];
  readonly negativePrompts: readonly string[];
  /** One per text encoder, in the model's order. */
  readonly tokenizers: readonly ClipTokenizer[];
  readonly hires?: HiresConditioning | null;
  /** A1111's `use_old_scheduling`. */
  readonly useOldScheduling?: boolean;
  /** An empty prompt is encoded too, to fill others with. */
  readonly needsEmpty?: boolean;
  readonly chunkOptions?: ChunkOptions | readonly ChunkOptions[];
}

/**
 * Works out what has to be encoded for a batch, and what is in force at each call of the network: LoRA tags are
 * cut from the positive prompts, AND parts and schedules taken apart, texts chunked.
 *
 * Throws `invalid-request` for prompts that A1111 fails on too: a weight that is no number, and a textual inversion of
 * more than 75 vectors, which no chunk holds.
 */
export function planConditioning(request: ConditioningRequest): ConditioningPlan {
  const { prompts, negativePrompts, hires } = request;
  const groups = new GroupList(request);
  const steps = totalSteps(request);
  const first = parseBatchNetworks(prompts);
  const firstPass = planPass(groups, first.texts, negativePrompts, (text) =>
    schedulePrompt(text, steps, { useOldScheduling: request.useOldScheduling ?? false }),
  );

  let hiresPass: PassConditioning | null = null;
  let hiresNetworks: ExtraNetworks['networks'] | null = null;
  if (hires) {
    const own = parseBatchNetworks(hires.prompts ?? prompts);
    hiresNetworks = hires.prompts ? own.networks : null;
    hiresPass = planPass(groups, own.texts, hires.negativePrompts ?? negativePrompts, (text) =>
      schedulePrompt(text, steps, {
        hiresSteps: totalSteps(hires),
        useOldScheduling: request.useOldScheduling ?? false,
      }),
    );
  }
  const empty = request.needsEmpty
    ? refAt(groups.add([{ lastStep: steps, text: '' }], false), 0)
    : null;
  return {
    groups: groups.list,
    firstPass: { ...firstPass, empty },
    hiresPass: hiresPass && { ...hiresPass, empty },
    networks: first.networks,
    hiresNetworks,
    tokenCount: groups.tokenCount,
  };
}

/** The calls of the network that a schedule is laid over. */
function totalSteps({ steps, isSecondOrder = false }: PassSteps): number {
  return isSecondOrder ? steps * 2 : steps;
}

type Schedule = (text: string) => readonly ScheduledText[];

function planPass(
  groups: GroupList,
  prompts: readonly string[],
  negativePrompts: readonly string[],
  schedule: Schedule,
): PassConditioning {
  const uncond = negativePrompts.map((prompt) => groups.add(schedule(prompt), true));
  const { texts, parts } = composePrompts(prompts);
  const cond = texts.map((text) => groups.add(schedule(text), false));
  const images = parts.map((list) =>
    list.flatMap(({ index, weight }) => {
      const entry = cond[index];
      return entry ? [{ entry, weight }] : [];
    }),
  );
  return {
    condAt: (call) =>
      images.map((list) => list.map(({ entry, weight }) => ({ ...refAt(entry, call), weight }))),
    uncondAt: (call) => uncond.map((entry) => refAt(entry, call)),
  };
}

interface GroupSchedule {
  readonly group: number;
  readonly schedule: readonly ScheduledText[];
  /** Row of the group's texts for each entry of the schedule. */
  readonly rows: readonly number[];
}

function refAt({ group, schedule, rows }: GroupSchedule, call: number): ConditioningRef {
  return { group, row: rows[entryAtCall(schedule, call)] ?? 0 };
}

/**
 * Which entry of a schedule is in force at a call of the network, counted from 0: the first whose last step is not
 * below the count, so the first entry lasts one call longer than it says; past the end the first one again.
 */
export function entryAtCall(schedule: readonly ScheduledText[], call: number): number {
  return Math.max(
    0,
    schedule.findIndex(({ lastStep }) => call <= lastStep),
  );
}

/** The groups in order of appearance, each once. */
class GroupList {
  readonly list: EncodeGroup[] = [];
  tokenCount = 0;
  readonly #tokenizers: readonly ClipTokenizer[];
  readonly #chunkOptions: readonly ChunkOptions[];
  readonly #known = new Map<string, number>();

  constructor({ tokenizers, chunkOptions = {} }: ConditioningRequest) {
    this.#tokenizers = tokenizers;
    this.#chunkOptions = Array.isArray(chunkOptions)
      ? chunkOptions
      : tokenizers.map(() => chunkOptions as ChunkOptions);
  }

  add(schedule: readonly ScheduledText[], isNegative: boolean): GroupSchedule {
    const counts = new Map<string, number>();
    for (const { text } of schedule) counts.set(text, (counts.get(text) ?? 0) + 1);
    const texts = [...counts.keys()];
    const repeats = [...counts.values()];
    const rowOf = new Map(texts.map((text, row) => [text, row]));
    const rows = schedule.map(({ text }) => rowOf.get(text) ?? 0);
    const key = JSON.stringify([isNegative, texts, repeats]);
    const group = this.#known.get(key) ?? this.list.length;
    if (group === this.list.length) {
      this.#known.set(key, group);
      this.list.push({ texts, repeats, isNegative, encoders: this.#encode(texts, repeats) });
    }
    return { group, schedule, rows };
  }

  #encode(texts: readonly string[], repeats: readonly number[]): ChunkBatch[][] {
    const prompts = this.#tokenizers.map((tokenizer, index) =>
      texts.map((text) => {
        const chunked = chunkPrompt(text, tokenizer, this.#chunkOptions[index]);
        this.tokenCount = Math.max(this.tokenCount, chunked.tokenCount);
        return chunked;
      }),
    );
    // Two tokenizers can disagree about a text's length; their outputs are joined, so the longer one decides.
    const count = Math.max(0, ...prompts.flat().map(({ chunks }) => chunks.length));
    return this.#tokenizers.map((tokenizer, index) => {
      const emphasis = this.#chunkOptions[index]?.emphasis ?? 'Original';
      return Array.from({ length: count }, (_, chunk) => {
        const rows = (prompts[index] ?? []).map(
          ({ chunks }) => chunks[chunk] ?? emptyChunk(tokenizer),
        );
        return { ...chunkBatch(rows, tokenizer), emphasis, repeats };
      });
    });
  }
}

function chunkBatch(
  rows: readonly PromptChunk[],
  tokenizer: ClipTokenizer,
): Pick<ChunkBatch, 'tokens' | 'multipliers' | 'embeddings'> {
  for (const { tokens, embeddings } of rows) {
    if (tokens.length <= CHUNK_LENGTH + 2) continue;
    const names = embeddings.map(({ name }) => name).join(', ');
    throw new GenerationError(
      'invalid-request',
      `A textual inversion of the prompt has more than ${CHUNK_LENGTH} vectors, which no chunk holds: one of ${names}. Leave it out.`,
    );
  }
  return {
    tokens: rows.map((chunk) => networkTokens(chunk, tokenizer)),
    multipliers: rows.map(({ multipliers }) => multipliers),
    embeddings: rows.map(({ embeddings }) => embeddings),
  };
}
