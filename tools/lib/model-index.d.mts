/** Lists the models in `modelsFolder` in the shape of `modelIndex` (protocol/catalog.ts). */
export function listEmbeddedModels(modelsFolder: string): unknown;
