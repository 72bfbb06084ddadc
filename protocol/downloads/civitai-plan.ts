import { z } from 'zod';
import { GenerationError } from '../errors.ts';
import { webPlatform } from '../web-platform.ts';
import { type DownloadKind, kindOfTensors } from './file-kind.ts';
import { probe, readJson } from './host-reads.ts';
import { CIVITAI_ENDPOINT, type ModelReference } from './model-reference.ts';
import {
  checkedFileName,
  type DownloadPlan,
  type PlannedFile,
  type PlanOptions,
  unknownKind,
} from './plan-parts.ts';

const CIVITAI_KINDS: Readonly<Record<string, DownloadKind>> = {
  Checkpoint: 'checkpoint',
  LORA: 'lora',
  LoCon: 'lora',
  DoRA: 'lora',
  TextualInversion: 'embedding',
  VAE: 'vae',
  Upscaler: 'esrgan',
  Controlnet: 'controlnet',
};

const civitaiFile = z.object({
  name: z.string().max(500),
  type: z.string().default('Model'),
  primary: z.boolean().nullish(),
  sizeKB: z.number().nullish(),
  downloadUrl: z.string().max(4000),
  metadata: z.record(z.string(), z.unknown()).nullish(),
  hashes: z.record(z.string(), z.string().nullish()).nullish(),
});
type CivitaiFile = z.infer<typeof civitaiFile>;
const civitaiVersion = z.object({
  id: z.int(),
  modelId: z.int().nullish(),
  name: z.string().default(''),
  model: z.object({ name: z.string(), type: z.string() }).nullish(),
  files: z.array(civitaiFile),
});
const civitaiModel = z.object({ modelVersions: z.array(z.object({ id: z.int() })) });

/** Plans a version of a model of Civitai, which names kind and SHA-256 itself. */
export async function planCivitai(
  reference: Extract<ModelReference, { type: 'civitai' }>,
  options: PlanOptions,
): Promise<DownloadPlan> {
  const page =
    reference.modelId === null ? null : `${CIVITAI_ENDPOINT}/models/${reference.modelId}`;
  let { versionId } = reference;
  if (versionId === null) {
    const address = `${CIVITAI_ENDPOINT}/api/v1/models/${reference.modelId}`;
    const { value } = await readJson(address, civitaiModel, page, options);
    versionId = value.modelVersions[0]?.id ?? null;
  }
  const address = `${CIVITAI_ENDPOINT}/api/v1/model-versions/${versionId}`;
  const { value } = await readJson(address, civitaiVersion, page, options);
  const chosen = chooseCivitaiFile(value.files, reference.wants);
  const fileName = checkedFileName(chosen.name);
  const url = new webPlatform.URL(chosen.downloadUrl, CIVITAI_ENDPOINT).href;
  const sha256 = chosen.hashes?.SHA256?.toLowerCase() ?? '';
  const file: PlannedFile = {
    url,
    path: fileName,
    // Civitai rounds its sizes; the download itself tells the bytes.
    sizeBytes: null,
    sha256: /^[0-9a-f]{64}$/.test(sha256) ? sha256 : null,
  };
  const modelPage = page ?? (value.modelId ? `${CIVITAI_ENDPOINT}/models/${value.modelId}` : null);
  const sized = await probe(file, modelPage, options);
  const known = value.model ? CIVITAI_KINDS[value.model.type] : undefined;
  const told = chosen.type === 'VAE' ? 'vae' : known;
  const kind = options.kind ?? told ?? kindOfTensors(sized.header?.tensors ?? []);
  if (!kind) throw unknownKind(fileName);
  return {
    title: [value.model?.name ?? fileName, value.name].filter((part) => part !== '').join(' '),
    page: modelPage,
    name: fileName.slice(0, -'.safetensors'.length),
    kind,
    isFolder: false,
    files: [{ ...file, sizeBytes: sized.sizeBytes }],
    note: null,
  };
}

function chooseCivitaiFile(
  files: readonly CivitaiFile[],
  wants: Readonly<Record<string, string>>,
): CivitaiFile {
  const usable = files.filter(({ name }) => /\.safetensors$/i.test(name));
  const matches = (file: CivitaiFile) =>
    Object.entries(wants).every(([name, value]) => {
      const found = name === 'type' ? file.type : file.metadata?.[name];
      return typeof found !== 'string' || found.toLowerCase() === value.toLowerCase();
    });
  const wanted = usable.filter(matches);
  const chosen = wanted.find(({ primary }) => primary) ?? wanted[0];
  if (chosen) return chosen;
  const other = files[0]?.name;
  throw new GenerationError(
    'unsupported',
    `This version offers no such .safetensors file${other === undefined ? '' : ` (there is ${other})`}. Easel reads no pickled files, because they can run code.`,
  );
}
