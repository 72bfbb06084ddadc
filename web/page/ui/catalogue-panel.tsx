import { KNOWN_MODELS, type KnownModel } from '../../../protocol/known-models.ts';
import { downloadOf, isHere, isUnderWay, startDownload } from '../downloads.ts';
import { formatBytes } from '../format.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

function KnownRow({ model }: { model: KnownModel }) {
  const app = useApp();
  const { title, kind, family, sizeBytes, isExactSize, licence, goodAt } = model;
  const view = downloadOf(app.state.downloads.views.value, model);
  const size = formatBytes(sizeBytes);
  const facts = [
    t.otherModels.kinds[kind],
    ...(family === 'any' ? [] : [family]),
    isExactSize ? size : t.catalogue.about(size),
    licence,
  ];
  return (
    <li class="model-row">
      <div>
        <p class="model-name">{title}</p>
        <p class="quiet">{goodAt}</p>
        <p class="quiet model-file">{facts.join(' · ')}</p>
      </div>
      {isHere(app.state.catalog.value, model) ? (
        <span class="badge push-right">{t.catalogue.here}</span>
      ) : (
        <button
          type="button"
          class="push-right"
          disabled={view !== null && isUnderWay(view)}
          onClick={() => void startDownload(app, model.id, model.kind)}
        >
          {t.catalogue.download}
          <span class="visually-hidden"> {title}</span>
        </button>
      )}
    </li>
  );
}

/** Well-known models, each a click away. */
export function CataloguePanel() {
  if (!useApp().downloader) return null;
  return (
    <section class="panel">
      <details>
        <summary>{t.catalogue.title}</summary>
        <p class="quiet">{t.catalogue.hint}</p>
        <ul class="model-list">
          {KNOWN_MODELS.map((model) => (
            <KnownRow key={model.id} model={model} />
          ))}
        </ul>
      </details>
    </section>
  );
}
