import { useId } from 'preact/hooks';
import { startGeneration } from '../actions.ts';
import { changeWeight } from '../prompt-weight.ts';
import { setFields } from '../state.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { problemText } from './number-field.tsx';

type PromptName = 'prompt' | 'negativePrompt';

/** Replaces the part of a text area that differs, keeping the browser's own undo. */
function replaceText(area: HTMLTextAreaElement, text: string): void {
  const old = area.value;
  let start = 0;
  while (start < old.length && start < text.length && old[start] === text[start]) start += 1;
  let end = 0;
  while (
    end < old.length - start &&
    end < text.length - start &&
    old[old.length - 1 - end] === text[text.length - 1 - end]
  ) {
    end += 1;
  }
  area.setSelectionRange(start, old.length - end);
  const inserted = text.slice(start, text.length - end);
  // The only way that keeps Ctrl+Z: setRangeText and value both forget the history.
  const isDone =
    inserted === ''
      ? document.execCommand('delete')
      : document.execCommand('insertText', false, inserted);
  if (!isDone || area.value !== text) area.value = text;
}

function PromptField({ name, rows, hint }: { name: PromptName; rows: number; hint?: string }) {
  const app = useApp();
  const { state } = app;
  const id = useId();
  const problem = state.fieldProblems.value[name];

  function onKeyDown(event: KeyboardEvent & { currentTarget: HTMLTextAreaElement }): void {
    if (!(event.ctrlKey || event.metaKey) || event.isComposing) return;
    if (event.key === 'Enter') {
      event.preventDefault();
      void startGeneration(app);
      return;
    }
    if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return;
    const area = event.currentTarget;
    const changed = changeWeight(
      { text: area.value, start: area.selectionStart, end: area.selectionEnd },
      event.key === 'ArrowUp' ? 1 : -1,
    );
    if (!changed) return;
    event.preventDefault();
    replaceText(area, changed.text);
    area.setSelectionRange(changed.start, changed.end);
    setFields(state, { [name]: changed.text });
  }

  return (
    <div class="field">
      <label for={id}>{t.fields[name]}</label>
      <textarea
        id={id}
        class="prompt"
        rows={rows}
        spellcheck={false}
        autocomplete="off"
        placeholder={name === 'prompt' ? t.create.promptPlaceholder : t.create.negativePlaceholder}
        value={state.form[name].value}
        aria-invalid={problem ? 'true' : undefined}
        aria-describedby={hint || problem ? `${id}-note` : undefined}
        onInput={(event) => setFields(state, { [name]: event.currentTarget.value })}
        onKeyDown={onKeyDown}
      />
      {(problem || hint) && (
        <p class={problem ? 'field-problem' : 'field-hint'} id={`${id}-note`}>
          {problem ? problemText(problem) : hint}
        </p>
      )}
    </div>
  );
}

/** Both prompts; an empty prompt is offered a few beginnings. */
export function PromptFields() {
  const { state } = useApp();
  const isEmpty = state.form.prompt.value.trim() === '';
  return (
    <div class="prompts">
      <PromptField name="prompt" rows={4} hint={t.create.promptHint} />
      {isEmpty && (
        <div class="examples">
          <span>{t.create.examples}</span>
          {t.examples.map((example) => (
            <button
              key={example}
              type="button"
              class="chip"
              onClick={() => setFields(state, { prompt: example })}
            >
              {example}
            </button>
          ))}
        </div>
      )}
      <PromptField name="negativePrompt" rows={2} />
    </div>
  );
}
