import { webPlatform } from '../web-platform.ts';
import { planCivitai } from './civitai-plan.ts';
import { kindOfTensors } from './file-kind.ts';
import { probe } from './host-reads.ts';
import { planHubFile, planRepository } from './hub-plan.ts';
import type { ModelReference } from './model-reference.ts';
import { checkedFileName, type DownloadPlan, type PlanOptions, unknownKind } from './plan-parts.ts';

/** Asks the host what a model is made of. Rejects with `GenerationError`. */
export function planDownload(
  reference: ModelReference,
  options: PlanOptions,
): Promise<DownloadPlan> {
  switch (reference.type) {
    case 'hub-repo':
      return planRepository(reference, options);
    case 'hub-file':
      return planHubFile(reference, options);
    case 'civitai':
      return planCivitai(reference, {
        ...options,
        tokens: { ...options.tokens, civitai: reference.token ?? options.tokens.civitai },
      });
    case 'url':
      return planAddress(reference.url, options);
  }
}

async function planAddress(url: string, options: PlanOptions): Promise<DownloadPlan> {
  const { host, pathname, origin } = new webPlatform.URL(url);
  const last = decodeURIComponent(pathname.split('/').at(-1) ?? '');
  if (/\.(ckpt|pt|pth|bin)$/i.test(last)) checkedFileName(last);
  const unsized = { url, path: last || host, sizeBytes: null, sha256: null };
  const { sizeBytes, header, fileName, sha256 } = await probe(unsized, null, options);
  const name = checkedFileName(fileName ?? (last || host));
  const kind = options.kind ?? kindOfTensors(header?.tensors ?? []);
  if (!kind) throw unknownKind(name);
  return {
    title: name,
    page: origin,
    name: name.slice(0, -'.safetensors'.length),
    kind,
    isFolder: false,
    files: [{ url, path: name, sizeBytes, sha256 }],
    note: null,
  };
}
