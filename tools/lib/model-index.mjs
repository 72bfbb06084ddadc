// The list of models that the page carries with it (`models/index.json`), made from public/models.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

function filesBelow(folder) {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) =>
      entry.isDirectory() ? filesBelow(join(folder, entry.name)) : [join(folder, entry.name)],
    )
    .sort();
}

/** What a safetensors file is used as; the only kind that lies beside the folders is a LoRA. */
function kindOfFile(path) {
  const bytes = readFileSync(path);
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE(0))));
  const names = Object.keys(header).filter((name) => name !== '__metadata__');
  if (names.some((name) => /^lora_(unet|te\d?)_/.test(name))) return 'lora';
  throw new Error(
    `${path} is no LoRA with kohya's names. Models of other kinds go into a diffusers folder.`,
  );
}

/** A listing of files below `root`, its version a hash of their names and bytes. */
function describe({ kind, name, filename, url, root, files }) {
  const hash = createHash('sha256');
  const listed = files.map((file) => {
    const path = relative(root, file).split(sep).join('/');
    hash.update(`${path}\n`).update(readFileSync(file));
    return { path, sizeBytes: statSync(file).size };
  });
  const version = hash.digest('hex');
  return { kind, name, source: 'embedded', filename, url, files: listed, version };
}

/**
 * Lists every diffusers folder and every LoRA file in `modelsFolder` in the shape of
 * `modelIndex` (protocol/catalog.ts). `version` is a hash of all bytes, so a changed file is noticed.
 * Throws for a safetensors file of another kind.
 */
export function listEmbeddedModels(modelsFolder) {
  if (!existsSync(modelsFolder)) return { models: [] };
  const models = [];
  for (const entry of readdirSync(modelsFolder, { withFileTypes: true })) {
    const path = join(modelsFolder, entry.name);
    const filename = `models/${entry.name}`;
    if (entry.isDirectory() && existsSync(join(path, 'model_index.json'))) {
      const files = filesBelow(path).filter((file) => /\.(json|safetensors|txt)$/.test(file));
      const names = { kind: 'checkpoint', name: entry.name, filename, url: `${filename}/` };
      models.push(describe({ ...names, root: path, files }));
    } else if (entry.isFile() && entry.name.endsWith('.safetensors')) {
      const name = entry.name.slice(0, -'.safetensors'.length);
      const names = { kind: kindOfFile(path), name, filename, url: 'models/' };
      models.push(describe({ ...names, root: modelsFolder, files: [path] }));
    }
  }
  return { models };
}

/** Vite plugin: serves `models/index.json` while developing and writes it into the build. */
export function modelIndexPlugin(modelsFolder) {
  return {
    name: 'easel-model-index',
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        if (request.url?.split('?')[0] !== '/models/index.json') return next();
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify(listEmbeddedModels(modelsFolder)));
      });
    },
    generateBundle() {
      this.emitFile({
        type: 'asset',
        fileName: 'models/index.json',
        source: JSON.stringify(listEmbeddedModels(modelsFolder)),
      });
    },
  };
}
