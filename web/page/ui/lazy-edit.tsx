import type { ComponentType } from 'preact';
import { useCallback, useEffect, useState } from 'preact/hooks';
import { t } from '../strings/strings.ts';

/** Loads the code of Edit; what fails once is tried again by the next call. */
export const loadEdit = () => import('./edit/edit-view.tsx');

/** Edit, whose code comes when it is first opened: the first picture needs none of it. */
export function LazyEdit() {
  const [View, setView] = useState<ComponentType | null>(null);
  const [isMissing, setMissing] = useState(false);
  const load = useCallback(() => {
    setMissing(false);
    loadEdit().then(
      ({ EditView }) => setView(() => EditView),
      () => setMissing(true),
    );
  }, []);
  useEffect(load, [load]);
  if (View) return <View />;
  return (
    <main class="page" id="content">
      <h1>{t.nav.edit}</h1>
      {isMissing ? (
        <div class="problem" role="alert">
          <p>{t.edit.loadFailed}</p>
          <button type="button" onClick={load}>
            {t.edit.retry}
          </button>
        </div>
      ) : (
        <p class="quiet">{t.edit.loading}</p>
      )}
    </main>
  );
}
