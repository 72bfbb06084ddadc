import type { ClientView, ConnectionView } from '../../../protocol/connection.ts';
import { t } from '../strings/strings.ts';
import { CopyButton } from './copy-button.tsx';
import { QrCode } from './qr-code.tsx';

function time(at: number): string {
  return new Date(at).toLocaleTimeString();
}

function ClientRow({ client }: { client: ClientView }) {
  const { name, requests, lastSeenAt, lastError } = client;
  return (
    <li class="client">
      <p>
        <strong>{name}</strong>{' '}
        <span class="quiet">{t.connection.clientFacts(requests, time(lastSeenAt))}</span>
      </p>
      {lastError && (
        <p class="field-problem">
          {t.connection.clientError(time(lastError.at), lastError.status, lastError.path)}{' '}
          {lastError.message}
        </p>
      )}
    </li>
  );
}

/** Who used the API since the bridge started. */
export function ClientsList({ clients }: { clients: readonly ClientView[] }) {
  return (
    <>
      <h3>{t.connection.clients}</h3>
      {clients.length === 0 && <p class="quiet">{t.connection.noClients}</p>}
      <ul class="clients">
        {clients.map((client) => (
          <ClientRow key={client.name} client={client} />
        ))}
      </ul>
    </>
  );
}

/** How other machines reach the bridge, or what to do so that they can. */
export function LanAddress({ view }: { view: ConnectionView }) {
  const [address] = view.addresses;
  return (
    <>
      <h3>{t.connection.lan}</h3>
      {address === undefined ? (
        <p>{view.isPublic ? t.connection.lanNone : t.connection.lanOff}</p>
      ) : (
        <div class="lan">
          <QrCode text={address} />
          <ul>
            {view.addresses.map((one) => (
              <li key={one}>
                <code>{one}</code>
                <CopyButton
                  text={one}
                  label={t.connection.copy}
                  done={t.stage.copied}
                  failed={t.connection.copyFailed}
                />
              </li>
            ))}
          </ul>
        </div>
      )}
      <p>{view.hasPassword ? t.connection.password : t.connection.noPassword}</p>
    </>
  );
}
