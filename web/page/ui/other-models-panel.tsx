import type { ModelInfo } from '../../../protocol/catalog.ts';
import { formatBytes } from '../format.ts';
import { forgetModelFiles } from '../model-files.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

function ModelRow({ model }: { model: ModelInfo }) {
  const app = useApp();
  const { kind, name, source, filename, sizeBytes } = model;
  const facts = [
    t.otherModels.kinds[kind],
    t.models.sources[source],
    ...(sizeBytes === null ? [] : [formatBytes(sizeBytes)]),
  ];
  return (
    <li class="model-row">
      <div>
        <p class="model-name">{name}</p>
        <p class="quiet">{facts.join(' · ')}</p>
        <p class="quiet model-file">{filename}</p>
      </div>
      {source === 'browser' && (
        <button type="button" class="push-right" onClick={() => void forgetModelFiles(app, model)}>
          {t.modelFiles.forget}
          <span class="visually-hidden"> {name}</span>
        </button>
      )}
    </li>
  );
}

/** What is used with checkpoints: LoRAs, VAEs, textual inversions, upscalers, ControlNets. */
export function OtherModelsPanel() {
  const { state } = useApp();
  const models = state.catalog.value.models ?? [];
  if (models.length === 0) return null;
  return (
    <section class="panel">
      <h2>{t.otherModels.title}</h2>
      <ul class="model-list">
        {models.map((model) => (
          <ModelRow key={`${model.kind} ${model.name}`} model={model} />
        ))}
      </ul>
    </section>
  );
}
