import { unsupportedModel } from '../errors.ts';
import type { ComponentName } from '../model.ts';
import { FLOAT16, FLOAT32, INT32, INT64, typeName } from './element-types.ts';
import type { Dimension, Graph, ValueType } from './graph.ts';

/** What an input or output of a graph is to the engine, in the words of `buildGraph`. */
export type PortRole =
  | 'sample'
  | 'timestep'
  | 'encoder_hidden_states'
  | 'text_embeds'
  | 'time_ids'
  | 'timestep_cond'
  | 'input_ids'
  | 'attention_mask'
  | 'latents'
  | 'out_sample'
  | 'last_hidden_state'
  | 'hidden_states'
  | 'latent_parameters'
  | 'latent_sample'
  | 'image';

/** One input or output of a graph; JSON. */
export interface Port {
  readonly role: PortRole;
  /** The graph's own name for it. */
  readonly name: string;
  /** TensorProto.DataType. */
  readonly type: number;
  readonly shape: readonly Dimension[];
  /** Of `hidden_states`: which layer's, 0 is the embeddings'. */
  readonly layer?: number;
}

interface PortRule {
  readonly role: PortRole;
  /** Names that exporters give it. */
  readonly names: RegExp;
  /** Without such a name the only one of this rank is it. */
  readonly rank?: number;
}

interface ComponentRules {
  readonly inputs: readonly PortRule[];
  readonly outputs: readonly PortRule[];
  /** Roles without which the component is of no use; of a list in the list, one of them. */
  readonly needed: readonly (readonly PortRole[])[];
}

const TEXT_RULES: ComponentRules = {
  inputs: [
    { role: 'input_ids', names: /^(input_ids|tokens|text)$/ },
    { role: 'attention_mask', names: /^attention_mask$/ },
  ],
  outputs: [
    { role: 'text_embeds', names: /^(text_embeds|text_embeddings)$/ },
    { role: 'hidden_states', names: /^hidden_states[._]\d+$/ },
    { role: 'last_hidden_state', names: /^last_hidden_state$/, rank: 3 },
  ],
  needed: [['input_ids'], ['last_hidden_state', 'hidden_states']],
};

/** By the names of optimum's and diffusers' exporters, their variations, and ranks. */
const RULES: Readonly<Partial<Record<ComponentName, ComponentRules>>> = {
  text_encoder: TEXT_RULES,
  text_encoder_2: TEXT_RULES,
  unet: {
    inputs: [
      { role: 'sample', names: /^(sample|latents|latent_sample|latent_model_input)$/, rank: 4 },
      { role: 'timestep', names: /^(timestep|timesteps|t)$/ },
      {
        role: 'encoder_hidden_states',
        names: /^(encoder_hidden_states?|prompt_embeds|context)$/,
        rank: 3,
      },
      { role: 'text_embeds', names: /^(text_embeds|pooled_text_embeds)$/ },
      { role: 'time_ids', names: /^(time_ids|add_time_ids)$/ },
      { role: 'timestep_cond', names: /^timestep_cond$/ },
    ],
    outputs: [{ role: 'out_sample', names: /^(out_sample|sample|noise_pred)$/, rank: 4 }],
    needed: [['sample'], ['timestep'], ['encoder_hidden_states'], ['out_sample']],
  },
  vae_encoder: {
    inputs: [{ role: 'sample', names: /^(sample|image|pixel_values)$/, rank: 4 }],
    outputs: [
      { role: 'latent_parameters', names: /^(latent_parameters|latent_dist|moments)$/ },
      { role: 'latent_sample', names: /^(latent_sample|latents|latent)$/, rank: 4 },
    ],
    needed: [['sample'], ['latent_parameters', 'latent_sample']],
  },
  vae_decoder: {
    inputs: [{ role: 'latents', names: /^(latent_sample|latents|latent|sample)$/, rank: 4 }],
    outputs: [{ role: 'image', names: /^(sample|image|images)$/, rank: 4 }],
    needed: [['latents'], ['image']],
  },
};

/** Element types that the boundary can be cast to. */
const BOUNDARY_TYPES: ReadonlySet<number> = new Set([FLOAT32, FLOAT16, INT32, INT64]);

/**
 * What each input and output of a graph is. Every input must be known, an output need not: it is not
 * asked for. Throws `unsupported` naming the input, or what is missing.
 */
export function findPorts(
  file: string,
  component: ComponentName,
  graph: Graph,
): { inputs: readonly Port[]; outputs: readonly Port[] } {
  const rules = RULES[component];
  if (!rules) throw new TypeError(`${component} is never read from an ONNX folder`);
  const inputs = graph.inputs.map((value) => {
    const role = roleOf(value, graph.inputs, rules.inputs);
    if (role === null) {
      throw unsupportedModel(
        file,
        `has the input ${shown(value)}, which this version of Easel does not know. It knows ${rules.inputs.map((rule) => rule.role).join(', ')}.`,
      );
    }
    return toPort(file, role, value);
  });
  const outputs = graph.outputs.flatMap((value) => {
    const role = roleOf(value, graph.outputs, rules.outputs);
    return role === null ? [] : [toPort(file, role, value)];
  });
  const found = new Set([...inputs, ...outputs].map(({ role }) => role));
  const roles = [...inputs, ...outputs].filter(({ role }) => role !== 'hidden_states');
  const twice = roles.find((port, place) => roles.findIndex((p) => p.role === port.role) < place);
  if (twice) {
    throw unsupportedModel(
      file,
      `has two inputs or outputs that could be ${twice.role}; one is "${twice.name}".`,
    );
  }
  for (const choices of rules.needed) {
    if (choices.some((role) => found.has(role))) continue;
    const all = [...graph.inputs, ...graph.outputs].map(shown).join(', ');
    throw unsupportedModel(file, `has no ${choices.join(' or ')}; it has ${all}.`);
  }
  return { inputs, outputs };
}

function roleOf(
  value: ValueType,
  all: readonly ValueType[],
  rules: readonly PortRule[],
): PortRole | null {
  const named = rules.find(({ names }) => names.test(value.name));
  if (named) return named.role;
  const rank = value.shape?.length;
  const rule = rules.find((candidate) => candidate.rank === rank);
  const isTaken = all.some((other) => rule?.names.test(other.name));
  const isOnly = all.filter((other) => other.shape?.length === rank).length === 1;
  return rule && !isTaken && isOnly ? rule.role : null;
}

function toPort(file: string, role: PortRole, value: ValueType): Port {
  const { name, type } = value;
  const shape = value.shape ?? [];
  if (!BOUNDARY_TYPES.has(type)) {
    throw unsupportedModel(
      file,
      `takes or gives ${shown(value)}; Easel drives float32, float16, int64 and int32.`,
    );
  }
  if (role !== 'hidden_states') return { role, name, type, shape };
  return { role, name, type, shape, layer: Number(/\d+$/.exec(name)?.[0]) };
}

function shown({ name, type, shape }: ValueType): string {
  return `"${name}" (${typeName(type)} ${shape ? `[${shape.map((size) => size ?? '?').join(', ')}]` : 'of any shape'})`;
}
