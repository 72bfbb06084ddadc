import { invalidModel, unsupportedModel } from '../errors.ts';
import type { ByteSource, ComponentName, ModelFiles } from '../model.ts';

/** Where exporters put a component's graph; the first folder that has one counts. */
const PLACES: Readonly<Partial<Record<ComponentName, readonly RegExp[]>>> = {
  text_encoder: [/^text_encoder\/[^/]+\.onnx$/i],
  text_encoder_2: [/^text_encoder_2\/[^/]+\.onnx$/i],
  unet: [/^unet\/[^/]+\.onnx$/i],
  vae_encoder: [/^vae_encoder\/[^/]+\.onnx$/i, /^vae\/(vae_)?encoder[^/]*\.onnx$/i],
  vae_decoder: [
    /^vae_decoder\/[^/]+\.onnx$/i,
    /^vae\/(vae_)?decoder[^/]*\.onnx$/i,
    /^vae\/model\.onnx$/i,
  ],
};

/** Of several precisions in one folder the widest, by the names that exporters use. */
const PREFERRED = [/\/model\.onnx$/i, /(?<!_)(en|de)coder(_model)?\.onnx$/i, /_fp16\.onnx$/i];

/** A component's graph, or null where the folder has none. */
export function graphFile(
  { name, files }: ModelFiles,
  component: ComponentName,
): ByteSource | null {
  for (const place of PLACES[component] ?? []) {
    const found = files.filter(({ path }) => place.test(path));
    const [only, ...others] = found;
    if (!only) continue;
    if (others.length === 0) return only;
    for (const pattern of PREFERRED) {
      const preferred = found.find(({ path }) => pattern.test(path));
      if (preferred) return preferred;
    }
    throw unsupportedModel(
      `${name}/${component}`,
      `holds several graphs (${found.map(({ path }) => path).join(', ')}) and none called model.onnx. Keep the one that is to be used.`,
    );
  }
  return null;
}

/** The file that a graph means by a tensor's `location`, which is beside it. */
export function dataFile({ files }: ModelFiles, graph: ByteSource, location: string): ByteSource {
  if (location === '') return graph;
  const parts = location.replaceAll('\\', '/').split('/');
  if (location.startsWith('/') || parts.includes('..')) {
    throw unsupportedModel(
      graph.path,
      `wants weights from ${JSON.stringify(location)}, which is not beside it.`,
    );
  }
  const folder = graph.path.slice(0, graph.path.lastIndexOf('/') + 1);
  const path = `${folder}${parts.filter((part) => part !== '.').join('/')}`;
  const found = files.find((file) => file.path === path);
  if (found) return found;
  throw invalidModel(
    path,
    `is missing: ${graph.path} keeps weights there. Put the file beside it, under this very name.`,
  );
}
