import { swapSizes } from '../actions.ts';
import { setFields } from '../state.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { SwapIcon } from './icons.tsx';
import { NumberField } from './number-field.tsx';

const PRESETS = [
  { name: 'square', width: '512', height: '512' },
  { name: 'portrait', width: '512', height: '768' },
  { name: 'landscape', width: '768', height: '512' },
] as const;

/** Width and height with a swap between them and the usual shapes. */
export function SizeFields() {
  const { state } = useApp();
  const { width, height } = state.form;
  return (
    <div class="size-fields">
      <div class="size-line">
        <NumberField name="width" step={8} />
        <button
          type="button"
          class="icon-button"
          title={t.create.swap}
          onClick={() => swapSizes(state)}
        >
          <SwapIcon />
          <span class="visually-hidden">{t.create.swap}</span>
        </button>
        <NumberField name="height" step={8} />
      </div>
      <div class="presets">
        {PRESETS.map((preset) => (
          <button
            key={preset.name}
            type="button"
            class="chip"
            aria-pressed={width.value === preset.width && height.value === preset.height}
            onClick={() => setFields(state, { width: preset.width, height: preset.height })}
          >
            <span class={`shape shape-${preset.name}`} aria-hidden="true" />
            {t.create.sizes[preset.name]}
          </button>
        ))}
      </div>
    </div>
  );
}
