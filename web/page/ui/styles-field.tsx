import { useSignalEffect } from '@preact/signals';
import { useEffect, useId, useState } from 'preact/hooks';
import { createBridgeApi } from '../bridge-api.ts';
import {
  addStyle,
  fetchStyles,
  loadStyles,
  removeStyle,
  type StylesState,
  saveStyles,
  toggleStyle,
  withStyles,
} from '../prompt-styles.ts';
import { browserStorage } from '../settings.ts';
import { type AppState, setFields } from '../state.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { CloseIcon } from './icons.tsx';

/** Reads the styles when they are first shown, and keeps every change; false where the browser refuses. */
function useStyles(state: AppState): { styles: StylesState; isKept: boolean } {
  const { styles } = state;
  const [isKept, setKept] = useState(true);
  useEffect(() => {
    loadStyles(styles, browserStorage());
    if (state.server.value === 'bridge') {
      void fetchStyles(styles, createBridgeApi(state.baseUrl.value));
    }
  }, [state, styles]);
  useSignalEffect(() => {
    setKept(saveStyles(styles, browserStorage()));
  });
  return { styles, isKept };
}

/** Saves the prompts typed as a style. */
function NewStyle({ styles }: { styles: StylesState }) {
  const { state } = useApp();
  const id = useId();
  const [name, setName] = useState('');
  const { prompt, negativePrompt } = state.form;
  const isEmpty = prompt.value.trim() === '' && negativePrompt.value.trim() === '';
  const trimmed = name.trim();
  return (
    <form
      class="new-style"
      onSubmit={(event) => {
        event.preventDefault();
        if (isEmpty || trimmed === '') return;
        addStyle(styles, {
          name: trimmed,
          prompt: prompt.value,
          negativePrompt: negativePrompt.value,
        });
        setName('');
      }}
    >
      <label class="visually-hidden" for={id}>
        {t.styles.name}
      </label>
      <input
        id={id}
        maxLength={200}
        placeholder={t.styles.name}
        value={name}
        onInput={(event) => setName(event.currentTarget.value)}
      />
      <button type="submit" disabled={isEmpty || trimmed === ''}>
        {t.styles.save}
      </button>
    </form>
  );
}

/** Styles as switches, those of this browser with a way to delete them. */
export function StylesField() {
  const { state } = useApp();
  const { styles, isKept } = useStyles(state);
  const chosen = styles.chosen.value;
  const own = new Set(styles.own.value.map(({ name }) => name));
  return (
    <details class="styles">
      <summary>{t.styles.title(chosen)}</summary>
      <div class="styles-body">
        <ul class="style-list">
          {styles.all.value.map(({ name, prompt, negativePrompt }) => (
            <li key={name}>
              <button
                type="button"
                class="chip"
                aria-pressed={chosen.includes(name)}
                title={[prompt, negativePrompt].filter(Boolean).join('\n')}
                onClick={() => toggleStyle(styles, name)}
              >
                {name}
              </button>
              {own.has(name) && (
                <button
                  type="button"
                  class="icon-button small"
                  title={t.styles.remove(name)}
                  onClick={() => removeStyle(styles, name)}
                >
                  <CloseIcon />
                  <span class="visually-hidden">{t.styles.remove(name)}</span>
                </button>
              )}
            </li>
          ))}
        </ul>
        {chosen.length > 0 && (
          <button
            type="button"
            class="chip"
            onClick={() => {
              const { prompt, negativePrompt } = withStyles(state.formValues.value, styles);
              setFields(state, { prompt, negativePrompt });
              styles.chosen.value = [];
            }}
          >
            {t.styles.write}
          </button>
        )}
        <NewStyle styles={styles} />
        <p class="field-hint">{t.styles.hint}</p>
        {!isKept && <p class="field-problem">{t.problems.settingsNotKept}</p>}
      </div>
    </details>
  );
}
