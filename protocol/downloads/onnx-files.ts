import { GenerationError } from '../errors.ts';
import type { HubEntry } from './hub-files.ts';

/** Where exporters put the graph of each component; the first folder that has one counts, as for the compiler. */
const COMPONENTS: readonly { readonly isNeeded: boolean; readonly places: readonly RegExp[] }[] = [
  { isNeeded: true, places: [/^text_encoder\/[^/]+\.onnx$/i] },
  { isNeeded: false, places: [/^text_encoder_2\/[^/]+\.onnx$/i] },
  { isNeeded: true, places: [/^unet\/[^/]+\.onnx$/i] },
  {
    isNeeded: true,
    places: [
      /^vae_decoder\/[^/]+\.onnx$/i,
      /^vae\/(vae_)?decoder[^/]*\.onnx$/i,
      /^vae\/model\.onnx$/i,
    ],
  },
  {
    isNeeded: false,
    places: [/^vae_encoder\/[^/]+\.onnx$/i, /^vae\/(vae_)?encoder[^/]*\.onnx$/i],
  },
];

/** Of several precisions in one folder the widest, by the names that exporters use. */
const PREFERRED = [/\/model\.onnx$/i, /(?<!_)(en|de)coder(_model)?\.onnx$/i, /_fp16\.onnx$/i];
/** Weights beside a graph: `model.onnx_data`, `model.onnx_data_1`, `model.onnx.data`, `weights.pb`. */
const DATA = /\.(onnx[._]data(_\d+)?|data|pb)$/i;

/**
 * The files of a checkpoint of ready-made ONNX graphs: a graph of each component, the weights beside it, its
 * `config.json`. null where the repository is none. Throws `unsupported` where it cannot be told which graph is meant.
 */
export function onnxFiles(repo: string, files: readonly HubEntry[]): HubEntry[] | null {
  const graphs: HubEntry[] = [];
  for (const { isNeeded, places } of COMPONENTS) {
    const found = places.map((place) => files.filter(({ path }) => place.test(path)));
    const candidates = found.find((list) => list.length > 0);
    if (candidates) graphs.push(preferredOf(repo, candidates));
    else if (isNeeded) return null;
  }
  const chosen = new Set(graphs);
  for (const graph of graphs) {
    const folder = graph.path.slice(0, graph.path.lastIndexOf('/') + 1);
    const inFolder = files.filter(({ path }) => path.startsWith(folder));
    const others = inFolder.filter(
      (file) => /\.onnx$/i.test(file.path) && file.path !== graph.path,
    );
    for (const file of inFolder) {
      const isOfAnother = others.some(({ path }) => file.path.startsWith(path));
      const isData = DATA.test(file.path) && !isOfAnother;
      if (isData || file.path === `${folder}config.json`) chosen.add(file);
    }
  }
  return [...chosen];
}

function preferredOf(repo: string, candidates: readonly HubEntry[]): HubEntry {
  const [only, ...others] = candidates;
  if (only && others.length === 0) return only;
  for (const pattern of PREFERRED) {
    const preferred = candidates.find(({ path }) => pattern.test(path));
    if (preferred) return preferred;
  }
  throw new GenerationError(
    'unsupported',
    `${repo} holds several graphs (${candidates
      .map(({ path }) => path)
      .join(', ')
      .slice(
        0,
        300,
      )}) and none called model.onnx. Download the folder by hand and keep the one that is to be used.`,
  );
}
