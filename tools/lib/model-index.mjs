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

/**
 * Lists every diffusers folder and safetensors file in `modelsFolder` in the shape of
 * `modelIndex` (protocol/catalog.ts). `version` is a hash of all bytes, so a changed file is noticed.
 */
export function listEmbeddedModels(modelsFolder) {
  if (!existsSync(modelsFolder)) return { models: [] };
  const models = [];
  for (const entry of readdirSync(modelsFolder, { withFileTypes: true })) {
    const path = join(modelsFolder, entry.name);
    const isFolder = entry.isDirectory() && existsSync(join(path, 'model_index.json'));
    if (!isFolder) continue;
    const hash = createHash('sha256');
    const files = filesBelow(path)
      .filter((file) => /\.(json|safetensors|txt)$/.test(file))
      .map((file) => {
        const name = relative(path, file).split(sep).join('/');
        hash.update(`${name}\n`).update(readFileSync(file));
        return { path: name, sizeBytes: statSync(file).size };
      });
    models.push({
      kind: 'checkpoint',
      name: entry.name,
      source: 'embedded',
      filename: `models/${entry.name}`,
      url: `models/${entry.name}/`,
      files,
      version: hash.digest('hex'),
    });
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
