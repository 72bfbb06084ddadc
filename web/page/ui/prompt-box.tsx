import { useId, useMemo, useRef, useState } from 'preact/hooks';
import {
  type Completion,
  completePrompt,
  offerNames,
  type PromptNames,
} from '../prompt-completion.ts';
import { highlightPrompt } from '../prompt-highlight.ts';
import { changeWeight } from '../prompt-weight.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

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

/** Names that the catalogue offers for prompts. */
function usePromptNames(): PromptNames {
  const models = useApp().state.catalog.value.models;
  return useMemo(() => {
    const namesOf = (wanted: string) =>
      (models ?? []).filter(({ kind }) => kind === wanted).map(({ name }) => name);
    return { loras: namesOf('lora'), embeddings: namesOf('embedding') };
  }, [models]);
}

export interface PromptBoxProps {
  readonly id: string;
  readonly value: string;
  readonly rows: number;
  readonly placeholder: string;
  readonly isInvalid: boolean;
  readonly describedBy: string | undefined;
  readonly onChange: (text: string) => void;
  /** Ctrl+Enter. */
  readonly onSubmit: () => void;
}

type AreaEvent<E extends Event> = E & { currentTarget: HTMLTextAreaElement };

/** A prompt's text area: weights by keyboard, names offered while typing, coloured by what words mean. */
export function PromptBox(props: PromptBoxProps) {
  const { id, value, rows, placeholder, onChange } = props;
  const names = usePromptNames();
  const listId = useId();
  const area = useRef<HTMLTextAreaElement>(null);
  const backdrop = useRef<HTMLDivElement>(null);
  const [offer, setOffer] = useState<Completion | null>(null);
  const [chosen, setChosen] = useState(0);
  const parts = useMemo(() => highlightPrompt(value, names.embeddings), [value, names]);

  function offerFor(element: HTMLTextAreaElement): void {
    const isCaret = element.selectionStart === element.selectionEnd;
    setOffer(isCaret ? completePrompt(element.value, element.selectionStart, names) : null);
    setChosen(0);
  }

  function accept(choice: string): void {
    const element = area.current;
    if (!element || !offer) return;
    const rest = element.value.slice(element.selectionStart);
    const text = element.value.slice(0, offer.start) + choice + rest;
    replaceText(element, text);
    element.setSelectionRange(offer.start + choice.length, offer.start + choice.length);
    element.focus();
    setOffer(null);
    onChange(text);
  }

  /** True where the key was for the list of names. */
  function steerOffer(event: AreaEvent<KeyboardEvent>): boolean {
    if (!offer || event.ctrlKey || event.metaKey || event.isComposing) return false;
    const count = offer.choices.length;
    if (event.key === 'ArrowDown') setChosen((chosen + 1) % count);
    else if (event.key === 'ArrowUp') setChosen((chosen + count - 1) % count);
    else if (event.key === 'Enter' || event.key === 'Tab') accept(offer.choices[chosen] ?? '');
    else if (event.key === 'Escape') setOffer(null);
    else return false;
    return true;
  }

  function onKeyDown(event: AreaEvent<KeyboardEvent>): void {
    if (steerOffer(event)) {
      event.preventDefault();
      return;
    }
    if (!(event.ctrlKey || event.metaKey) || event.isComposing) return;
    if (event.code === 'Space') {
      event.preventDefault();
      setOffer(offerNames(event.currentTarget.value, event.currentTarget.selectionStart, names));
      setChosen(0);
      return;
    }
    if (event.key === 'Enter') {
      event.preventDefault();
      props.onSubmit();
      return;
    }
    if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return;
    const { currentTarget: element } = event;
    const { value: text, selectionStart: start, selectionEnd: end } = element;
    const changed = changeWeight({ text, start, end }, event.key === 'ArrowUp' ? 1 : -1);
    if (!changed) return;
    event.preventDefault();
    replaceText(element, changed.text);
    element.setSelectionRange(changed.start, changed.end);
    onChange(changed.text);
  }

  return (
    <div class="prompt-box">
      <div class="prompt-backdrop" ref={backdrop} aria-hidden="true">
        {parts.map(({ text, kind }, place) =>
          kind === 'plain' ? (
            text
          ) : (
            <mark key={place} class={`part-${kind}`}>
              {text}
            </mark>
          ),
        )}
        {'\n'}
      </div>
      <textarea
        ref={area}
        id={id}
        class="prompt"
        rows={rows}
        spellcheck={false}
        autocomplete="off"
        placeholder={placeholder}
        value={value}
        aria-invalid={props.isInvalid ? 'true' : undefined}
        aria-describedby={props.describedBy}
        aria-autocomplete="list"
        aria-controls={offer ? listId : undefined}
        aria-activedescendant={offer ? `${listId}-${chosen}` : undefined}
        onInput={(event) => {
          onChange(event.currentTarget.value);
          offerFor(event.currentTarget);
        }}
        onKeyDown={onKeyDown}
        onBlur={() => setOffer(null)}
        onScroll={(event) => {
          if (backdrop.current) backdrop.current.scrollTop = event.currentTarget.scrollTop;
        }}
      />
      {offer && (
        <div class="offers" id={listId} role="listbox" aria-label={t.create.names}>
          {offer.choices.map((choice, place) => (
            <div
              key={choice}
              id={`${listId}-${place}`}
              class="offer"
              role="option"
              tabIndex={-1}
              aria-selected={place === chosen}
              onPointerDown={(event) => {
                // The caret has to stay where the name goes.
                event.preventDefault();
                accept(choice);
              }}
            >
              {choice}
            </div>
          ))}
        </div>
      )}
    </div>
  );
}
