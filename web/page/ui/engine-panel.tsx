import { unloadCheckpoint } from '../actions.ts';
import { formatBytes } from '../format.ts';
import { t } from '../strings/strings.ts';
import { BenchmarkButton } from './benchmark-panel.tsx';
import { useApp } from './context.ts';
import { ProblemNote } from './problem-note.tsx';
import { DeviceLine } from './status-lines.tsx';

function Facts({ rows }: { rows: ReadonlyArray<readonly [string, string]> }) {
  return (
    <dl class="fact-table">
      {rows.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The device in full, and what it holds. */
export function EnginePanel() {
  const app = useApp();
  const { device, checkpoint, precision, loadReason } = app.state.status.value;
  const yesNo = (value: boolean) => (value ? t.connection.yes : t.connection.no);
  const rows: Array<readonly [string, string]> = [
    [t.connection.checkpoint, checkpoint ?? t.connection.noCheckpoint],
  ];
  if (precision) rows.push([t.connection.precision, precision]);
  if (loadReason) rows.push([t.connection.precisionWhy, loadReason]);
  if (device && !app.state.isRemote.value) {
    rows.push([t.connection.deviceName, device.adapter], [t.connection.deviceWhy, device.reason]);
    if (device.provider === 'webgpu') {
      rows.push(
        [t.connection.f16, yesNo(device.hasShaderF16)],
        [t.connection.biggestBuffer, formatBytes(device.maxBufferBytes)],
        [t.connection.biggestBinding, formatBytes(device.maxStorageBindingBytes)],
        [
          t.connection.memory,
          device.memoryBytes === undefined ? t.connection.notTold : formatBytes(device.memoryBytes),
        ],
      );
    } else {
      rows.push([t.connection.threads, String(device.wasmThreads)]);
    }
  }
  if (!app.state.isRemote.value)
    rows.push([t.connection.isolated, yesNo(globalThis.crossOriginIsolated === true)]);
  return (
    <section class="panel">
      <h2>{t.connection.deviceTitle}</h2>
      <DeviceLine />
      <Facts rows={rows} />
      <div class="panel-action">
        <button type="button" disabled={!checkpoint} onClick={() => void unloadCheckpoint(app)}>
          {t.connection.unload}
        </button>
        <p class="quiet">{t.connection.unloadHint}</p>
      </div>
      <BenchmarkButton />
      <ProblemNote problem={app.state.engineProblem} />
    </section>
  );
}
