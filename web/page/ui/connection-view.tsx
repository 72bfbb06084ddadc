import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { CopyButton } from './copy-button.tsx';
import { EnginePanel } from './engine-panel.tsx';
import { BridgeLine } from './status-lines.tsx';

function AddressPanel() {
  const { state } = useApp();
  const address = state.baseUrl.value.replace(/\/$/, '');
  return (
    <section class="panel">
      <h2>{t.connection.addressTitle}</h2>
      <div class="address-line">
        <label class="visually-hidden" for="api-address">
          {t.connection.addressLabel}
        </label>
        <input
          id="api-address"
          class="address"
          readOnly
          value={address}
          onFocus={(event) => event.currentTarget.select()}
        />
        <CopyButton
          text={address}
          label={t.connection.copy}
          done={t.connection.copied}
          failed={t.connection.copyFailed}
        />
      </div>
      <ol class="steps">
        {t.connection.steps.map((step) => (
          <li key={step}>{step}</li>
        ))}
      </ol>
      <p class="quiet">{t.connection.keepOpen}</p>
    </section>
  );
}

/** How other programs reach this engine, and what it runs on. */
export function ConnectionView() {
  const { state } = useApp();
  return (
    <main class="page" id="content">
      <h1>{t.connection.title}</h1>
      {state.server.value === 'static' ? (
        <section class="panel">
          <h2>{t.connection.noBridgeTitle}</h2>
          <p>{t.connection.noBridge}</p>
        </section>
      ) : (
        <AddressPanel />
      )}
      <section class="panel">
        <h2>{t.connection.stateTitle}</h2>
        <BridgeLine />
      </section>
      <EnginePanel />
    </main>
  );
}
