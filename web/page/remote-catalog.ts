import { z } from 'zod';
import type { Catalog, ModelInfo } from '../../protocol/catalog.ts';
import type { BridgeApi } from './bridge-api.ts';
import { withoutHash } from './control-infotext.ts';

const checkpoints = z.array(
  z.object({
    model_name: z.string().min(1),
    filename: z.string(),
    sha256: z.string().nullish(),
  }),
);
const vaes = z.array(z.object({ model_name: z.string().min(1), filename: z.string() }));
const loras = z.array(z.object({ name: z.string().min(1), path: z.string() }));
const embeddings = z.object({ loaded: z.record(z.string(), z.unknown()) });
const upscalers = z.array(
  z.object({ name: z.string().min(1), model_path: z.string().nullable().catch(null) }),
);
const controlnets = z.object({ model_list: z.array(z.string().min(1)) });

function model(kind: ModelInfo['kind'], name: string, filename = ''): ModelInfo {
  return { kind, name, filename, source: 'bridge', sha256: null, sizeBytes: null };
}

/** What another machine's engine can be asked for, by the lists that A1111's clients read. */
export async function readRemoteCatalog(api: BridgeApi): Promise<Catalog> {
  const [listed, vaeList, loraList, embeddingList, upscalerList, controlnetList] =
    await Promise.all([
      api.get('sdapi/v1/sd-models', checkpoints),
      api.get('sdapi/v1/sd-vae', vaes),
      api.get('sdapi/v1/loras', loras),
      api.get('sdapi/v1/embeddings', embeddings),
      api.get('sdapi/v1/upscalers', upscalers),
      api.get('controlnet/model_list', controlnets),
    ]);
  return {
    checkpoints: listed.map(({ model_name: name, filename, sha256 }) => ({
      ...{ name, filename, source: 'bridge', sizeBytes: null },
      sha256: sha256 ?? null,
    })),
    models: [
      ...loraList.map(({ name, path }) => model('lora', name, path)),
      ...Object.keys(embeddingList.loaded).map((name) => model('embedding', name)),
      ...vaeList.map(({ model_name: name, filename }) => model('vae', name, filename)),
      ...controlnetList.model_list.map((label) => model('controlnet', withoutHash(label))),
      // Those without a file are offered wherever pictures are enlarged.
      ...upscalerList.flatMap(({ name, model_path: path }) =>
        path === null ? [] : [model('esrgan', name, path)],
      ),
    ],
  };
}
