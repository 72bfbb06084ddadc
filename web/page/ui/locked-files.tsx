import { useEffect } from 'preact/hooks';
import { allowFilesAgain, readLockedFiles } from '../model-files.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

/** Models whose files the browser locked at the reload, and the button that lets them be read again. */
export function LockedFiles() {
  const app = useApp();
  const { catalog, modelFiles } = app.state;
  const found = catalog.value;
  useEffect(() => {
    void readLockedFiles(app);
    // What is listed changes what may be locked.
  }, [app, found]);
  const names = modelFiles.locked.value.map(({ name }) => name);
  if (names.length === 0) return null;
  return (
    <div class="ask">
      <span class="quiet">{t.modelFiles.locked(names.join(', '))}</span>
      <button type="button" onClick={() => void allowFilesAgain(app)}>
        {t.modelFiles.allow}
      </button>
    </div>
  );
}
