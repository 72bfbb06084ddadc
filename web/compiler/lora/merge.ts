import type { Checkpoint, CheckpointComponent } from '../checkpoint.ts';
import { invalidModel } from '../errors.ts';
import type { ByteSource, ComponentName } from '../model.ts';
import { sizeOf } from '../onnx/shapes.ts';
import type { SourceTensor } from '../safetensors.ts';
import { deltaSize, layerDelta, readFloats } from './delta.ts';
import { createLayerFinder, type LoraTarget } from './layer-names.ts';
import type { LoraFile, LoraLayer } from './lora-file.ts';

/** A LoRA and how strongly it counts. */
export interface LoraUse {
  readonly lora: LoraFile;
  /** Strength for the text encoders. */
  readonly textEncoderStrength: number;
  readonly unetStrength: number;
}

/** A checkpoint with LoRAs in its weights. */
export interface MergedCheckpoint extends Checkpoint {
  /** Weights that are not as in the checkpoint, by component; components without any are not in it. */
  readonly touched: ReadonlyMap<ComponentName, ReadonlySet<string>>;
}

interface Contribution {
  readonly lora: LoraFile;
  readonly layer: LoraLayer;
  readonly target: LoraTarget;
  readonly strength: number;
}

/**
 * The checkpoint with `W + Σ strength · scale · ΔW` in the place of each weight that the LoRAs name. A
 * weight is merged when it is read: at most one, with the factors of a layer, is in memory. Strengths of
 * 0 touch nothing.
 *
 * Throws `invalid-model` where a layer is none of the checkpoint's, or of another shape: a LoRA made for
 * another family.
 */
export function mergeLoras(checkpoint: Checkpoint, uses: readonly LoraUse[]): MergedCheckpoint {
  const find = createLayerFinder(checkpoint.components);
  const byWeight = new Map<string, Contribution[]>();
  const touched = new Map<ComponentName, Set<string>>();
  for (const { lora, textEncoderStrength, unetStrength } of uses) {
    for (const layer of lora.layers) {
      const target = find(layer.name);
      if (!target) throw foreign(lora, layer, checkpoint);
      checkShape(lora, layer, target, checkpoint);
      const strength = target.component === 'unet' ? unetStrength : textEncoderStrength;
      if (strength === 0) continue;
      const key = `${target.component}:${target.spec.name}`;
      byWeight.set(key, [...(byWeight.get(key) ?? []), { lora, layer, target, strength }]);
      const names = touched.get(target.component) ?? new Set<string>();
      touched.set(target.component, names.add(target.spec.name));
    }
  }
  const latest: Latest = { key: '', values: null };
  const components = checkpoint.components.map((component): CheckpointComponent => {
    const names = touched.get(component.name);
    if (!names) return component;
    const tensors = new Map(component.tensors);
    for (const name of names) {
      const source = tensors.get(name);
      const key = `${component.name}:${name}`;
      if (source) tensors.set(name, mergedTensor(source, byWeight.get(key) ?? [], key, latest));
    }
    return { ...component, tensors };
  });
  return { ...checkpoint, components, touched };
}

/** The weight read last, merged: pieces of one weight are read one after the other. */
interface Latest {
  key: string;
  values: Promise<Uint8Array<ArrayBuffer>> | null;
}

/** A tensor whose bytes are made when they are read; it keeps its place, and so the order of reads. */
function mergedTensor(
  source: SourceTensor,
  contributions: readonly Contribution[],
  key: string,
  latest: Latest,
): SourceTensor {
  const sizeBytes = sizeOf(source.shape) * Float32Array.BYTES_PER_ELEMENT;
  const file: ByteSource = {
    path: source.file.path,
    sizeBytes: source.offset + sizeBytes,
    async read(offset, length, { signal } = {}) {
      if (latest.key !== key || !latest.values) {
        latest.key = key;
        latest.values = mergedBytes(source, contributions, signal);
      }
      try {
        const at = offset - source.offset;
        return (await latest.values).slice(at, at + length);
      } catch (error) {
        latest.values = null;
        throw error;
      }
    },
  };
  return { ...source, dtype: 'F32', file, sizeBytes };
}

async function mergedBytes(
  source: SourceTensor,
  contributions: readonly Contribution[],
  signal: AbortSignal | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const weights = await readFloats(source, signal);
  for (const { lora, layer, target, strength } of contributions) {
    const { rows, columns, values } = await layerDelta(lora, layer, { signal });
    for (let i = 0; i < values.length; i++) {
      const at = target.isTransposed ? (i % columns) * rows + Math.floor(i / columns) : i;
      weights[at] = (weights[at] as number) + strength * (values[i] as number);
    }
  }
  return new Uint8Array(weights.buffer);
}

function checkShape(
  lora: LoraFile,
  layer: LoraLayer,
  { spec, isTransposed }: LoraTarget,
  checkpoint: Checkpoint,
): void {
  const size = deltaSize(layer);
  if (!size) {
    throw invalidModel(
      lora.file.path,
      `the layer "${layer.name}" is incomplete: it has ${[...layer.factors.keys()].join(', ')}. Download it again.`,
    );
  }
  const [first = 0, ...rest] = spec.shape;
  const [rows, columns] = isTransposed ? [sizeOf(rest), first] : [first, sizeOf(rest)];
  if (size.rows === rows && size.columns === columns) return;
  throw invalidModel(
    lora.file.path,
    `the layer "${layer.name}" is made for a weight of ${size.rows} × ${size.columns}, but "${spec.name}" of ${checkpoint.name} has ${rows} × ${columns}. ${familyHint(lora, checkpoint)}`,
  );
}

function foreign(lora: LoraFile, layer: LoraLayer, checkpoint: Checkpoint): Error {
  return invalidModel(
    lora.file.path,
    `the layer "${layer.name}" is none of ${checkpoint.name}'s. ${familyHint(lora, checkpoint)}`,
  );
}

const FAMILY_NAMES = { sd1: 'SD 1', sd2: 'SD 2', sdxl: 'SDXL' } as const;

function familyHint(lora: LoraFile, { description }: Checkpoint): string {
  const of = FAMILY_NAMES[description.family];
  const found = loraFamily(lora);
  return found && found !== description.family
    ? `It is a LoRA for ${FAMILY_NAMES[found]}, and the checkpoint is ${of}: use it with a checkpoint of its own family.`
    : `The checkpoint is ${of}: use the LoRA with the checkpoint family that it was made for.`;
}

/** What a LoRA was made for, by its metadata, its layers' names and the width of its contexts. */
function loraFamily({ layers, metadata }: LoraFile): keyof typeof FAMILY_NAMES | null {
  const base = metadata.ss_base_model_version ?? '';
  if (/^sdxl/i.test(base)) return 'sdxl';
  if (/^sd_v?1/i.test(base)) return 'sd1';
  if (/^sd_v?2/i.test(base)) return 'sd2';
  if (layers.some(({ name }) => /^(lora_te2_|text_encoder_2\.)/.test(name))) return 'sdxl';
  const cross = layers.find(({ name }) => /attn2[._]to_k$/.test(name));
  const width = cross && deltaSize(cross)?.columns;
  return width === 768 ? 'sd1' : width === 1024 ? 'sd2' : width === 2048 ? 'sdxl' : null;
}
