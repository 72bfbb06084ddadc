import { GenerationError } from '../../../protocol/errors.ts';
import type { GraphOptions } from '../build-graph.ts';
import type { ComponentName, GraphShape } from '../model.ts';
import { checkLatents, type OnnxGraphConfig } from './config.ts';
import { INT32 } from './element-types.ts';
import { allNodes, type Graph, mapNodes, type OnnxFile, type ValueType } from './graph.ts';
import { GraphPatch } from './graph-patch.ts';
import type { Port, PortRole } from './ports.ts';

type TextOptions = Pick<GraphOptions, 'clipSkip' | 'finalNorm' | 'overrides' | 'control'>;

/**
 * A ready-made graph with the boundary that `buildGraph` documents: its own names, element types, time
 * shapes and latent scale are met by a few nodes before and after it, so that the engine drives every
 * model alike and nothing leaves the device in between. `shape.batch` must be what the graph takes.
 * Throws `invalid-request` for sizes that a fixed graph does not have, and `unsupported` for what it
 * cannot do.
 */
export function adaptGraph(
  model: OnnxFile,
  name: ComponentName,
  config: OnnxGraphConfig,
  shape: GraphShape,
  options: TextOptions = {},
): OnnxFile {
  if (options.control) {
    throw new GenerationError(
      'unsupported',
      'A ready-made ONNX UNet takes no ControlNet: its graph has no inputs for one. Use the checkpoint as .safetensors.',
    );
  }
  const boundary = new Set<string>(BOUNDARY);
  const own = (value: string) => (boundary.has(value) ? `${value}/own` : value);
  const graph = renamed(model.graph, own);
  const port = (role: PortRole) => {
    const found = [...config.inputs, ...config.outputs].find((each) => each.role === role);
    return found && { ...found, name: own(found.name) };
  };
  const opset = model.opsets.find(({ domain }) => domain === '')?.version ?? 0;
  const patch = new GraphPatch(graph, opset);
  if (name === 'unet') adaptUnet(patch, config, port, shape);
  else if (name === 'vae_encoder') adaptEncoder(patch, config, port, shape);
  else if (name === 'vae_decoder') adaptDecoder(patch, config, port, shape);
  else adaptText(patch, config, { port, own }, shape, options);
  return { ...model, graph: patch.finish() };
}

/** The engine's names: a graph may use the same ones for something else. */
const BOUNDARY = [
  'sample',
  'timestep',
  'encoder_hidden_states',
  'text_embeds',
  'time_ids',
  'timestep_cond',
  'input_ids',
  'overrides',
  'override_mask',
  'latents',
  'out_sample',
  'hidden_states',
  'latent_mean',
  'latent_std',
  'image',
] as const;

type FindPort = (role: PortRole) => Port | undefined;

function renamed(graph: Graph, own: (name: string) => string): Graph {
  const values = (list: readonly ValueType[]) =>
    list.map((value) => ({ ...value, name: own(value.name) }));
  const isTaken = [
    ...[...allNodes(graph)].flatMap(({ inputs, outputs }) => [...inputs, ...outputs]),
    ...graph.inputs.map(({ name }) => name),
  ].some((name) => own(name) !== name);
  if (!isTaken) return graph;
  const mapped = mapNodes(graph, (node) => ({
    ...node,
    inputs: node.inputs.map(own),
    outputs: node.outputs.map(own),
    attributes: node.attributes.map((attribute) =>
      attribute.kind === 'graph'
        ? {
            ...attribute,
            graph: {
              ...attribute.graph,
              inputs: values(attribute.graph.inputs),
              outputs: values(attribute.graph.outputs),
              initializers: attribute.graph.initializers.map((tensor) => ({
                ...tensor,
                name: own(tensor.name),
              })),
            },
          }
        : attribute,
    ),
  }));
  return {
    ...mapped,
    inputs: values(graph.inputs),
    outputs: values(graph.outputs),
    initializers: graph.initializers.map((tensor) => ({ ...tensor, name: own(tensor.name) })),
  };
}

function adaptUnet(patch: GraphPatch, config: OnnxGraphConfig, port: FindPort, shape: GraphShape) {
  const { batch, latentHeight: height, latentWidth: width, tokens } = shape;
  checkLatents({ name: 'unet', config }, { height, width });
  checkTokens(port('encoder_hidden_states'), tokens);
  const sizes: Partial<Record<PortRole, readonly number[]>> = {
    sample: [height, width],
    encoder_hidden_states: [tokens],
  };
  for (const role of [
    'sample',
    'encoder_hidden_states',
    'text_embeds',
    'time_ids',
    'timestep_cond',
  ] as const) {
    const found = port(role);
    if (!found) continue;
    const given =
      role === 'sample'
        ? [batch, lastKnown(found, 1), ...(sizes.sample ?? [])]
        : [batch, ...(sizes[role] ?? []), lastKnown(found, found.shape.length - 1)];
    patch.feed(role, found, given);
  }
  const time = port('timestep');
  if (time) patch.feedTime(time, batch, port('sample')?.shape[0] ?? null);
  const out = port('out_sample');
  if (out) patch.give('out_sample', out.name);
}

/** A size that the engine does not choose: the graph's own, or left to whatever is fed. */
function lastKnown(port: Port, axis: number): number | null {
  const size = port.shape[axis];
  return typeof size === 'number' ? size : null;
}

function adaptEncoder(
  patch: GraphPatch,
  config: OnnxGraphConfig,
  port: FindPort,
  { batch, latentHeight, latentWidth }: GraphShape,
) {
  checkLatents({ name: 'vae_encoder', config }, { height: latentHeight, width: latentWidth });
  const { vaeFactor } = config;
  const sample = port('sample');
  if (sample)
    patch.feed('sample', sample, [batch, 3, latentHeight * vaeFactor, latentWidth * vaeFactor]);
  const parameters = port('latent_parameters');
  const drawn = port('latent_sample');
  if (parameters) {
    const [mean, logVariance] = patch.halves(patch.float(parameters.name));
    patch.give('latent_mean', mean);
    // diffusers' DiagonalGaussianDistribution: half of the clamped log variance, as an exponent.
    const clamped = patch.op('Clip', [logVariance, patch.scalar(-30), patch.scalar(20)]);
    patch.give('latent_std', patch.op('Exp', [patch.op('Mul', [clamped, patch.scalar(0.5)])]));
  } else if (drawn) patch.give('latent_mean', drawn.name);
}

function adaptDecoder(
  patch: GraphPatch,
  config: OnnxGraphConfig,
  port: FindPort,
  { batch, latentHeight, latentWidth }: GraphShape,
) {
  checkLatents({ name: 'vae_decoder', config }, { height: latentHeight, width: latentWidth });
  const latents = port('latents');
  if (latents) {
    const given = [batch, lastKnown(latents, 1), latentHeight, latentWidth];
    patch.feed('latents', latents, given, (value) => {
      const { scalingFactor, shiftFactor } = config;
      const scaled = patch.op('Mul', [value, patch.scalar(1 / scalingFactor)]);
      return shiftFactor === 0 ? scaled : patch.op('Add', [scaled, patch.scalar(shiftFactor)]);
    });
  }
  const image = port('image');
  if (image) patch.give('image', image.name);
}

function adaptText(
  patch: GraphPatch,
  config: OnnxGraphConfig,
  { port, own }: { port: FindPort; own: (name: string) => string },
  { batch, tokens }: GraphShape,
  options: TextOptions,
) {
  const ids = port('input_ids');
  checkTokens(ids, tokens);
  if (ids) patch.feed('input_ids', ids, [batch, tokens], undefined, INT32);
  const mask = port('attention_mask');
  if (mask) patch.fill(mask, [batch, tokens], 1);
  if (options.overrides) {
    if (config.tokenRows === null) {
      throw new GenerationError(
        'unsupported',
        "This checkpoint's ONNX text encoder hides its token table, so textual inversions cannot be put into prompts. Leave them out, or use the checkpoint as .safetensors.",
      );
    }
    const { name, type } = config.tokenRows;
    patch.replaceRows(own(name), type, batch, tokens);
  }
  const states = textStates(patch, config, own, options);
  patch.give('hidden_states', states);
  const embeds = port('text_embeds');
  if (embeds) patch.give('text_embeds', embeds.name);
}

/** The states that were asked for: the last ones, or an earlier layer's where the graph gives it out. */
function textStates(
  patch: GraphPatch,
  config: OnnxGraphConfig,
  own: (name: string) => string,
  { clipSkip = 1, finalNorm = true }: TextOptions,
): string {
  const last = config.outputs.find(({ role }) => role === 'last_hidden_state');
  if (clipSkip === 1 && finalNorm && last) return own(last.name);
  const layer = (index: number) => {
    const found = config.outputs.find((port) => port.layer === index);
    return found && own(found.name);
  };
  const wanted = layer(config.layers + 1 - clipSkip);
  if (wanted !== undefined && !finalNorm) return wanted;
  const bare = layer(config.layers);
  if (wanted !== undefined && bare !== undefined && last) {
    const normed = patch.repeatFrom(bare, own(last.name), wanted);
    if (normed !== null) return normed;
  }
  // Without the states the graph has one answer: `describe` says so beforehand.
  if (finalNorm && last) return own(last.name);
  throw new GenerationError(
    'invalid-model',
    "This checkpoint's ONNX text encoder does not give out the states of the layer that is asked for. Export it with its hidden states.",
  );
}

function checkTokens(port: Port | undefined, tokens: number): void {
  const fixed = port?.shape[1];
  if (typeof fixed !== 'number' || fixed === tokens) return;
  throw new GenerationError(
    'invalid-request',
    `This checkpoint's ${port?.role === 'input_ids' ? 'text encoder' : 'UNet'} was exported for texts of ${fixed} tokens alone, not of ${tokens}. Keep prompt and negative prompt to ${fixed - 2} tokens each.`,
  );
}
