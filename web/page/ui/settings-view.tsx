import '../styles/library.css';
import { useCallback, useId, useState } from 'preact/hooks';
import {
  CONNECTION_PATH,
  type ConnectionView,
  connectionView,
} from '../../../protocol/connection.ts';
import { THEMES, type Theme } from '../settings.ts';
import { t } from '../strings/strings.ts';
import { AddressField } from './address-field.tsx';
import { ClientsList, LanAddress } from './clients-list.tsx';
import { useApp } from './context.ts';
import { EnginePanel } from './engine-panel.tsx';
import { OptionsPanel } from './options-panel.tsx';
import { BridgeLine } from './status-lines.tsx';
import { useBridge, usePolling } from './use-bridge.ts';

const POLL_MS = 3_000;

/** Who is connected, asked again and again while it is shown; null until the bridge has answered. */
function useConnection(): ConnectionView | null {
  const api = useBridge();
  const [view, setView] = useState<ConnectionView | null>(null);
  const read = useCallback(() => {
    // A bridge that is away is said in the line above.
    api?.get(CONNECTION_PATH, connectionView).then(setView, () => {});
  }, [api]);
  usePolling(api && read, POLL_MS);
  return view;
}

function ConnectionPanel() {
  const { state } = useApp();
  const view = useConnection();
  if (state.server.value === 'static') {
    return (
      <section class="panel">
        <h2>{t.connection.noBridgeTitle}</h2>
        <p>{t.connection.noBridge}</p>
      </section>
    );
  }
  return (
    <section class="panel">
      <h2>{t.connection.title}</h2>
      <BridgeLine />
      <AddressField />
      <ol class="steps">
        {t.connection.steps.map((step) => (
          <li key={step}>{step}</li>
        ))}
      </ol>
      <p class="quiet">{t.connection.keepOpen}</p>
      {view && (
        <>
          <ClientsList clients={view.clients} />
          <LanAddress view={view} />
        </>
      )}
    </section>
  );
}

function PagePanel() {
  const { state } = useApp();
  const themeId = useId();
  return (
    <section class="panel">
      <h2>{t.settings.pageTitle}</h2>
      <div class="field">
        <label for={themeId}>{t.settings.theme}</label>
        <select
          id={themeId}
          value={state.theme.value}
          onChange={(event) => {
            state.theme.value = event.currentTarget.value as Theme;
          }}
        >
          {THEMES.map((theme) => (
            <option key={theme} value={theme}>
              {t.settings.themes[theme]}
            </option>
          ))}
        </select>
      </div>
      <label class="check">
        <input
          type="checkbox"
          checked={state.showsPreview.value}
          onChange={(event) => {
            state.showsPreview.value = event.currentTarget.checked;
          }}
        />
        {t.settings.showsPreview}
      </label>
      {state.isFarPage.value && (
        <label class="check">
          <input
            type="checkbox"
            checked={state.lendsDevice.value}
            onChange={(event) => {
              state.lendsDevice.value = event.currentTarget.checked;
              // The page writes its settings as it goes.
              location.reload();
            }}
          />
          {t.settings.lendsDevice}
        </label>
      )}
    </section>
  );
}

/** How other programs reach this engine, what it runs on, and how the page behaves. */
export function SettingsView() {
  return (
    <main class="page" id="content">
      <h1>{t.settings.title}</h1>
      <ConnectionPanel />
      <EnginePanel />
      <PagePanel />
      <OptionsPanel />
    </main>
  );
}
