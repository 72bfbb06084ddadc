import { useId } from 'preact/hooks';
import { filterChoices, type GalleryFilter, PERIODS } from '../gallery-filter.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

type Choice = readonly [value: string, label: string];

interface FilterSelectProps {
  readonly name: Exclude<keyof GalleryFilter, 'query'>;
  readonly choices: readonly Choice[];
}

function FilterSelect({ name, choices }: FilterSelectProps) {
  const { filter } = useApp().state.gallery;
  const id = useId();
  return (
    <div class="filter">
      <label for={id}>{t.gallery.filters[name]}</label>
      <select
        id={id}
        value={filter.value[name]}
        onChange={(event) => {
          filter.value = { ...filter.value, [name]: event.currentTarget.value };
        }}
      >
        {choices.map(([value, label]) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </select>
    </div>
  );
}

const PLACES = ['any', 'browser', 'folder'] as const;

/** Where, model, sampler, size and time: what the gallery shows of all pictures. */
export function GalleryFilters() {
  const { gallery } = useApp().state;
  const { checkpoints, samplers, sizes } = filterChoices(gallery.all.value);
  const any = (values: readonly string[]): Choice[] => [
    ['', t.gallery.any],
    ...values.map((value): Choice => [value, value]),
  ];
  return (
    <fieldset class="filters">
      <legend class="visually-hidden">{t.gallery.filterTitle}</legend>
      {gallery.outputs.value !== null && (
        <FilterSelect
          name="place"
          choices={PLACES.map((place): Choice => [place, t.gallery.places[place]])}
        />
      )}
      <FilterSelect name="checkpoint" choices={any(checkpoints)} />
      <FilterSelect name="sampler" choices={any(samplers)} />
      <FilterSelect name="size" choices={any(sizes)} />
      <FilterSelect
        name="period"
        choices={PERIODS.map((period): Choice => [period, t.gallery.periods[period]])}
      />
    </fieldset>
  );
}
