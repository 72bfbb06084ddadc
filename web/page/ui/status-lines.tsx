import type { RelayStatus } from '../../shared/engine.ts';
import { deviceLine, deviceTone, needsReason } from '../device-text.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

const RELAY_TONES = {
  off: 'quiet',
  connecting: 'busy',
  attached: 'good',
  waiting: 'busy',
  refused: 'bad',
} as const satisfies Record<RelayStatus['state'], string>;

/** Which device is used and why, as one line with a lamp. */
export function DeviceLine() {
  const { state } = useApp();
  const status = state.status.value;
  const { device } = status;
  return (
    <div class="status-line">
      <span class={`lamp lamp-${deviceTone(status)}`} aria-hidden="true" />
      <p>
        {deviceLine(device, { isRemote: state.isRemote.value })}
        {!state.isRemote.value && needsReason(device) && device.reason !== '' && (
          <span class="reason"> {device.reason}</span>
        )}
        {status.message && <span class="reason"> {status.message}</span>}
      </p>
    </div>
  );
}

/** Whether the bridge is connected. */
export function BridgeLine() {
  const { state, engine } = useApp();
  const relay = state.relay.value;
  if (state.server.value === 'locked') {
    return (
      <div class="status-line">
        <span class="lamp lamp-bad" aria-hidden="true" />
        <p>
          {t.bridge.locked}.{' '}
          <a href={new URL('login', state.baseUrl.value).href}>{t.bridge.signIn}</a>
        </p>
      </div>
    );
  }
  // A bridge that is there, or none at all, needs no more words; anything between says why.
  const isSettled = relay.state === 'attached' || relay.state === 'off';
  const text = isSettled || relay.message === '' ? t.bridge.states[relay.state] : relay.message;
  return (
    <div class="status-line">
      <span class={`lamp lamp-${RELAY_TONES[relay.state]}`} aria-hidden="true" />
      <p>
        <a class="plain" href="#settings">
          {text}
        </a>
      </p>
      {relay.state === 'waiting' && (
        <button type="button" class="chip" onClick={() => engine.takeOver()}>
          {t.bridge.takeOver}
        </button>
      )}
    </div>
  );
}

/** What must never be out of sight: the device, the bridge, and whether settings are kept. */
export function StatusBar() {
  const { state } = useApp();
  return (
    <footer class="status-bar">
      <DeviceLine />
      <BridgeLine />
      {!state.keepsSettings.value && <p class="reason span-all">{t.problems.settingsNotKept}</p>}
    </footer>
  );
}
