import { randomSeed, reuseSeed } from '../actions.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { DiceIcon, ReuseIcon } from './icons.tsx';
import { NumberField } from './number-field.tsx';

/** Seed and how many pictures. */
export function SeedFields() {
  const { state } = useApp();
  const hasPicture = state.pictures.value.length > 0;
  return (
    <div class="field-grid">
      <div class="span-all">
        <NumberField name="seed">
          <button
            type="button"
            class="icon-button"
            title={t.create.random}
            onClick={() => randomSeed(state)}
          >
            <DiceIcon />
            <span class="visually-hidden">{t.create.random}</span>
          </button>
          <button
            type="button"
            class="icon-button"
            title={t.create.reuse}
            disabled={!hasPicture}
            onClick={() => reuseSeed(state)}
          >
            <ReuseIcon />
            <span class="visually-hidden">{t.create.reuse}</span>
          </button>
        </NumberField>
      </div>
      <NumberField name="batchSize" />
      <NumberField name="batchCount" />
    </div>
  );
}
