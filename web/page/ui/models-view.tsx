import '../styles/library.css';
import type { CheckpointInfo } from '../../../protocol/catalog.ts';
import { chooseCheckpoint, refreshModels } from '../actions.ts';
import { deviceAdvice } from '../device-advice.ts';
import { formatBytes } from '../format.ts';
import { forgetModelFiles } from '../model-files.ts';
import { t } from '../strings/strings.ts';
import { CataloguePanel } from './catalogue-panel.tsx';
import { CompiledPanel } from './compiled-panel.tsx';
import { useApp } from './context.ts';
import { DownloadsPanel } from './downloads-panel.tsx';
import { ModelDrop } from './model-drop.tsx';
import { OtherModelsPanel } from './other-models-panel.tsx';
import { ProblemNote } from './problem-note.tsx';
import { ProgressPanel } from './progress-panel.tsx';

function CheckpointRow({ checkpoint }: { checkpoint: CheckpointInfo }) {
  const app = useApp();
  const { status } = app.state;
  const { name, source, filename, sizeBytes, sha256 } = checkpoint;
  const isInMemory = status.value.checkpoint === name;
  const facts = [
    t.models.sources[source],
    ...(sizeBytes === null ? [] : [formatBytes(sizeBytes)]),
    ...(sha256 === null ? [] : [sha256.slice(0, 10)]),
  ];
  return (
    <li class="model-row">
      <div>
        <p class="model-name">{name}</p>
        <p class="quiet">{facts.join(' · ')}</p>
        <p class="quiet model-file">{filename}</p>
      </div>
      {source === 'browser' && !isInMemory && !app.state.isRemote.value && (
        <button
          type="button"
          class="push-right"
          onClick={() => void forgetModelFiles(app, { kind: 'checkpoint', name })}
        >
          {t.modelFiles.forget}
          <span class="visually-hidden"> {name}</span>
        </button>
      )}
      {isInMemory ? (
        <span class="badge">{t.models.inMemory}</span>
      ) : (
        <button
          type="button"
          disabled={status.value.state === 'loading' || status.value.state === 'compiling'}
          onClick={() => void chooseCheckpoint(app, name)}
        >
          {t.models.load}
          <span class="visually-hidden"> {name}</span>
        </button>
      )}
    </li>
  );
}

/** What this device can run, in plain words. */
function DeviceAdvice() {
  const { state } = useApp();
  const { device } = state.status.value;
  if (!device || state.isRemote.value) return null;
  return (
    <p class="quiet">
      {deviceAdvice(device)} {t.advice.speed}
    </p>
  );
}

/** What can be loaded, from where, and what is in memory. */
export function ModelsView() {
  const app = useApp();
  const { catalog, checkpointProblem, isRefreshing } = app.state;
  const { checkpoints } = catalog.value;
  return (
    <main class="page" id="content">
      <div class="page-head">
        <h1>{t.models.title}</h1>
        <button
          type="button"
          class="push-right"
          disabled={isRefreshing.value}
          onClick={() => void refreshModels(app)}
        >
          {t.models.refresh}
        </button>
      </div>
      <DeviceAdvice />
      <ProgressPanel />
      <ProblemNote problem={checkpointProblem} />
      <section class="panel">
        <h2>{t.models.checkpoints}</h2>
        {!app.state.isRemote.value && <ModelDrop />}
        {checkpoints.length === 0 && <p class="quiet">{t.models.empty}</p>}
        <ul class="model-list">
          {checkpoints.map((checkpoint) => (
            <CheckpointRow key={checkpoint.name} checkpoint={checkpoint} />
          ))}
        </ul>
      </section>
      <DownloadsPanel />
      <CataloguePanel />
      <OtherModelsPanel />
      <CompiledPanel />
    </main>
  );
}
