import {
  type ControlnetConfig,
  residualNames,
  residualShapes,
} from '../../compiler/models/controlnet.ts';
import type { ControlShare, LatentsRequest } from '../diffusion-model.ts';
import type { Companion } from '../models/companions.ts';
import type { Copies } from '../runtime/latent-ops.ts';
import type { ModelSession, Runtime } from '../runtime/runtime.ts';
import type { DeviceTensor } from '../runtime/tensor.ts';

/** The sessions of ControlNets at a batch's size. */
export interface ControlSessions {
  /** Embeds the one control picture of the batch. */
  hint(net: Companion): Promise<ModelSession>;
  /** Gives residuals for `copies` rows a picture; with `isAdded` on top of another ControlNet's. */
  residuals(
    net: Companion,
    copies: Copies,
    tokens: number,
    isAdded: boolean,
  ): Promise<ModelSession>;
}

/** One run of the UNet, as its ControlNets see it. */
export interface ControlledRun {
  readonly copies: Copies;
  readonly tokens: number;
  /** The latents as the UNet gets them, without channels for inpainting. */
  readonly sample: DeviceTensor;
  readonly timestep: number;
  /** Texts and the like, as the UNet gets them. */
  readonly conditions: Readonly<Record<string, DeviceTensor>>;
  /** Place of each row's text among the call's. */
  readonly rows: readonly number[];
  readonly shares: readonly ControlShare[];
}

/** The ControlNets of one batch. */
export interface BatchControls {
  /** The UNet's inputs `control_down_0` … and `control_mid`; nulls where no ControlNet has a share. */
  residuals(run: ControlledRun): Promise<{
    readonly feeds: Readonly<Record<string, DeviceTensor>>;
    dispose(): void;
  }>;
  dispose(): void;
}

/** By how much a residual counts less than the next deeper one, where the prompt or the net is to win (sd-webui-controlnet). */
const SOFTNESS = 0.825;

/** Inputs that a ControlNet shares with its UNet, where it has them. */
const SHARED_INPUTS = (unet: ControlnetConfig['unet']): readonly string[] => [
  'encoder_hidden_states',
  ...(unet.textTime ? ['text_embeds', 'time_ids'] : []),
  ...(unet.timestepCondSize === null ? [] : ['timestep_cond']),
];

export function createBatchControls(
  runtime: Runtime,
  request: LatentsRequest,
  sessions: ControlSessions,
): BatchControls {
  const { pictures, height, width, controls = [] } = request;
  const hints = new Map<number, DeviceTensor>();
  const nothing = new Map<Copies, Record<string, DeviceTensor>>();
  const [first] = controls;
  const unet = first ? configOf(first.net).unet : null;
  const shapes = unet ? residualShapes(unet, height, width) : [];
  const names = residualNames(shapes.length);

  async function hintOf(index: number): Promise<DeviceTensor> {
    const known = hints.get(index);
    if (known) return known;
    const control = controls[index];
    if (!control) throw new RangeError(`no ControlNet ${index}`);
    const { net, picture } = control;
    const factor = 2 ** (configOf(net).hintFeatures.length - 1);
    const session = await sessions.hint(net);
    const { control_hint: hint } = await session.run({
      controlnet_cond: runtime.tensor(picture, [1, 3, height * factor, width * factor]),
    });
    if (!hint) throw new TypeError('a ControlNet has no output control_hint');
    hints.set(index, hint);
    return hint;
  }

  /** Residuals of nothing: the UNet's graph wants them at every step. */
  function zeros(copies: Copies): Record<string, DeviceTensor> {
    const known = nothing.get(copies);
    if (known) return known;
    const made = Object.fromEntries(
      shapes.map(([channels, rows, columns], index) => {
        const shape = [copies * pictures, channels, rows, columns];
        const values = new Float32Array(shape.reduce((product, side) => product * side, 1));
        return [names[index] ?? '', runtime.upload(values, shape)];
      }),
    );
    nothing.set(copies, made);
    return made;
  }

  /** [residuals, rows]: what each residual of each row is multiplied by. */
  function scales(share: ControlShare, rows: readonly number[]): DeviceTensor {
    const deepest = shapes.length - 1;
    const values = shapes.flatMap((_, index) => {
      const softened = share.isSoft ? SOFTNESS ** (deepest - index) : 1;
      return rows.map((text) => (share.exempt === text ? 0 : share.strength * softened));
    });
    return runtime.tensor(Float32Array.from(values), [shapes.length, rows.length]);
  }

  async function runNet(
    share: ControlShare,
    run: ControlledRun,
    previous: Readonly<Record<string, DeviceTensor>> | null,
  ): Promise<Record<string, DeviceTensor>> {
    const net = controls[share.control]?.net;
    if (!net) throw new RangeError(`no ControlNet ${share.control}`);
    const hint = await hintOf(share.control);
    const session = await sessions.residuals(net, run.copies, run.tokens, previous !== null);
    const feeds: Record<string, DeviceTensor> = {
      sample: run.sample,
      timestep: runtime.tensor(new Float32Array(run.rows.length).fill(run.timestep), [
        run.rows.length,
      ]),
      control_hint: hint,
      conditioning_scale: scales(share, run.rows),
    };
    for (const name of SHARED_INPUTS(configOf(net).unet)) {
      const shared = run.conditions[name];
      if (shared) feeds[name] = shared;
    }
    for (const [name, tensor] of Object.entries(previous ?? {})) {
      feeds[name.replace('control', 'previous')] = tensor;
    }
    return session.run(feeds);
  }

  return {
    async residuals(run) {
      let made: Record<string, DeviceTensor> | null = null;
      for (const share of run.shares.filter(({ strength }) => strength !== 0)) {
        const before: Record<string, DeviceTensor> | null = made;
        try {
          made = await runNet(share, run, before);
        } finally {
          release(before);
        }
      }
      const own = made;
      return { feeds: own ?? zeros(run.copies), dispose: () => release(own) };
    },
    dispose() {
      for (const hint of hints.values()) hint.dispose();
      hints.clear();
      for (const tensors of nothing.values()) release(tensors);
      nothing.clear();
    },
  };
}

function configOf({ component }: Companion): ControlnetConfig {
  return component.config as unknown as ControlnetConfig;
}

function release(tensors: Readonly<Record<string, DeviceTensor>> | null): void {
  for (const tensor of Object.values(tensors ?? {})) tensor.dispose();
}
