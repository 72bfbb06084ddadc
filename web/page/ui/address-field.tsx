import { useId } from 'preact/hooks';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { CopyButton } from './copy-button.tsx';

/** What other programs are given as the address of an A1111 server; without a slash at the end. */
export function AddressField() {
  const { state } = useApp();
  const id = useId();
  const address = state.baseUrl.value.replace(/\/$/, '');
  return (
    <div class="address-line">
      <label class="visually-hidden" for={id}>
        {t.connection.addressLabel}
      </label>
      <input
        id={id}
        class="address"
        readOnly
        value={address}
        onFocus={(event) => event.currentTarget.select()}
      />
      <CopyButton
        text={address}
        label={t.connection.copy}
        done={t.stage.copied}
        failed={t.connection.copyFailed}
      />
    </div>
  );
}
