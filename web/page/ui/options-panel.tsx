import { useCallback, useId, useMemo } from 'preact/hooks';
import type { OptionDescription } from '../../../protocol/option-list.ts';
import type { BridgeApi } from '../bridge-api.ts';
import {
  createOptionsState,
  findOptions,
  type OptionsState,
  readOptions,
  setOption,
  valueOfText,
} from '../bridge-options.ts';
import { t } from '../strings/strings.ts';
import { useBridge, usePolling } from './use-bridge.ts';

const POLL_MS = 3_000;

interface OptionProps {
  readonly options: OptionsState;
  readonly api: BridgeApi;
  readonly entry: OptionDescription;
}

interface ControlProps extends OptionProps {
  readonly id: string;
  readonly describedBy: string;
}

function OptionControl({ options, api, entry, id, describedBy }: ControlProps) {
  const { key, choices, min, max } = entry;
  const value = options.values.value[key] ?? entry.default;
  const common = { id, 'aria-describedby': describedBy, disabled: entry.status === 'read only' };
  const set = (next: unknown) => void setOption(options, api, key, next);
  if (typeof entry.default === 'boolean') {
    return (
      <input
        {...common}
        type="checkbox"
        checked={value === true}
        onChange={(event) => set(event.currentTarget.checked)}
      />
    );
  }
  if (choices) {
    const text = String(value);
    const all = choices.includes(text) ? choices : [text, ...choices];
    return (
      <select {...common} value={text} onChange={(event) => set(event.currentTarget.value)}>
        {all.map((choice) => (
          <option key={choice} value={choice}>
            {choice}
          </option>
        ))}
      </select>
    );
  }
  const isNumber = typeof entry.default === 'number';
  return (
    <input
      {...common}
      {...(isNumber ? { type: 'number', min, max, step: 'any' } : { type: 'text' })}
      value={Array.isArray(value) ? value.join(', ') : String(value)}
      onChange={(event) => {
        const next = valueOfText(entry, event.currentTarget.value);
        if (next === null) event.currentTarget.value = String(value);
        else set(next);
      }}
    />
  );
}

function OptionRow(props: OptionProps) {
  const { options, entry } = props;
  const id = useId();
  const problem = options.problems.value[entry.key];
  const isDefault =
    JSON.stringify(options.values.value[entry.key]) === JSON.stringify(entry.default);
  const about = [
    // The table is written for a page in Markdown.
    entry.about.replaceAll('`', ''),
    entry.status === 'works' ? '' : t.options.statuses[entry.status],
    isDefault || entry.default === '' || entry.status === 'read only'
      ? ''
      : t.options.changed(String(entry.default)),
  ];
  return (
    <div class="option">
      <div>
        <label for={id}>{entry.key}</label>
        <p class="quiet" id={`${id}-about`}>
          {about.filter((part) => part !== '').join(' · ')}
        </p>
        {problem && (
          <p class="field-problem" role="alert">
            {problem.message}
          </p>
        )}
      </div>
      <OptionControl {...props} id={id} describedBy={`${id}-about`} />
    </div>
  );
}

/** All options of the API with the values that every client sees. */
export function OptionsPanel() {
  const api = useBridge();
  const options = useMemo(createOptionsState, []);
  const read = useCallback(() => {
    if (api) void readOptions(options, api);
  }, [api, options]);
  usePolling(api && read, POLL_MS);
  if (!api) return null;
  const found = findOptions(options.list.value, options.query.value, options.showsAll.value);
  const problem = options.problems.value[''];
  return (
    <section class="panel">
      <h2>{t.options.title}</h2>
      <p class="quiet">{t.options.hint}</p>
      {problem && (
        <p class="problem" role="alert">
          {problem.message} {t.options.retrying}
        </p>
      )}
      <div class="option-search">
        <input
          type="search"
          aria-label={t.options.search}
          placeholder={t.options.search}
          value={options.query.value}
          onInput={(event) => {
            options.query.value = event.currentTarget.value;
          }}
        />
        <label class="check">
          <input
            type="checkbox"
            checked={options.showsAll.value}
            onChange={(event) => {
              options.showsAll.value = event.currentTarget.checked;
            }}
          />
          {t.options.showAll}
        </label>
      </div>
      {options.list.value.length > 0 && found.length === 0 && <p class="quiet">{t.options.none}</p>}
      <div class="options">
        {found.map((entry) => (
          <OptionRow key={entry.key} options={options} api={api} entry={entry} />
        ))}
      </div>
    </section>
  );
}
