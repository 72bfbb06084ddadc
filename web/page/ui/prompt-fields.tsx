import { useId } from 'preact/hooks';
import { setFields } from '../state.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { problemText } from './number-field.tsx';
import { PromptBox } from './prompt-box.tsx';
import { StylesField } from './styles-field.tsx';

type PromptName = 'prompt' | 'negativePrompt';

/** Tokens used of the chunks begun; nothing where the engine cannot tell. */
function TokenCounter({ name }: { name: PromptName }) {
  const count = useApp().state.tokenCounts[name].value;
  if (!count) return null;
  const { tokens, room } = count;
  return (
    <span class="token-count" title={t.create.tokensTitle(tokens, room)}>
      {t.create.tokens(tokens, room)}
    </span>
  );
}

interface PromptFieldProps {
  readonly name: PromptName;
  readonly rows: number;
  readonly hint?: string;
  readonly onSubmit: () => void;
}

function PromptField({ name, rows, hint, onSubmit }: PromptFieldProps) {
  const { state } = useApp();
  const id = useId();
  const problem = state.fieldProblems.value[name];
  return (
    <div class="field">
      <div class="label-line">
        <label for={id}>{t.fields[name]}</label>
        <TokenCounter name={name} />
      </div>
      <PromptBox
        id={id}
        rows={rows}
        placeholder={name === 'prompt' ? t.create.promptPlaceholder : t.create.negativePlaceholder}
        value={state.form[name].value}
        isInvalid={problem !== undefined}
        describedBy={hint || problem ? `${id}-note` : undefined}
        onChange={(text) => setFields(state, { [name]: text })}
        onSubmit={onSubmit}
      />
      {(problem || hint) && (
        <p class={problem ? 'field-problem' : 'field-hint'} id={`${id}-note`}>
          {problem ? problemText(problem) : hint}
        </p>
      )}
    </div>
  );
}

/** Both prompts; an empty prompt is offered a few beginnings. `onSubmit` is Ctrl+Enter's. */
export function PromptFields({ onSubmit }: { onSubmit: () => void }) {
  const { state } = useApp();
  const isEmpty = state.form.prompt.value.trim() === '';
  return (
    <div class="prompts">
      <PromptField name="prompt" rows={4} hint={t.create.promptHint} onSubmit={onSubmit} />
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
      <PromptField name="negativePrompt" rows={2} onSubmit={onSubmit} />
      <StylesField />
    </div>
  );
}
