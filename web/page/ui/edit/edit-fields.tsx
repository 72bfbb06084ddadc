import { useId } from 'preact/hooks';
import { GENERATION_LIMITS } from '../../../../protocol/generation.ts';
import { enlarge } from '../../edit/edit-job.ts';
import type { EditSession } from '../../edit/edit-session.ts';
import { INPAINT_FILLS } from '../../form.ts';
import { jobSizeOf } from '../../init-picture.ts';
import { setFields } from '../../state.ts';
import { t } from '../../strings/strings.ts';
import { useApp } from '../context.ts';
import { ResizeModeField } from '../init-picture-fields.tsx';
import { NumberField } from '../number-field.tsx';
import { SelectField } from '../select-field.tsx';

const AREAS = ['whole', 'masked'] as const;

/** At which size the picture, or its masked part, is made. */
function EditSize({ session }: { session: EditSession }) {
  const { state } = useApp();
  const size = session.size.value;
  const { editWidth, editHeight } = state.form;
  const fitting = size && jobSizeOf(size, GENERATION_LIMITS.maxSide);
  const hasSize =
    fitting &&
    editWidth.value === String(fitting.width) &&
    editHeight.value === String(fitting.height);
  return (
    <>
      <div class="field-grid">
        <NumberField name="editWidth" step={8} />
        <NumberField name="editHeight" step={8} />
      </div>
      {size && fitting && !hasSize && (
        <>
          <div class="presets">
            <span>{t.edit.sizeHint(size.width, size.height)}</span>
            <button
              type="button"
              class="chip"
              onClick={() =>
                setFields(state, {
                  editWidth: String(fitting.width),
                  editHeight: String(fitting.height),
                })
              }
            >
              {t.edit.takeSize}
            </button>
          </div>
          <ResizeModeField />
        </>
      )}
    </>
  );
}

/** How the mask is used; without one there is a word on how to get one. */
function MaskFields({ session }: { session: EditSession }) {
  const { state } = useApp();
  const id = useId();
  if (!session.hasMask.value) return <p class="field-hint">{t.edit.maskHint}</p>;
  return (
    <>
      <div class="field-grid">
        <NumberField name="maskBlur" />
        <SelectField
          name="inpaintFill"
          options={INPAINT_FILLS.map((value) => ({ value, label: t.edit.fills[value] }))}
        />
        <SelectField
          name="inpaintArea"
          options={AREAS.map((value) => ({ value, label: t.edit.areas[value] }))}
        />
        {state.form.inpaintArea.value === 'masked' && <NumberField name="maskPadding" step={4} />}
      </div>
      <div class="check">
        <input
          id={id}
          type="checkbox"
          checked={session.showsSoftEdge.value}
          onChange={(event) => {
            session.showsSoftEdge.value = event.currentTarget.checked;
          }}
        />
        <label for={id}>{t.edit.softEdge}</label>
      </div>
    </>
  );
}

/** What is redrawn, and how far from the picture it may go. */
export function RedrawFields({ session }: { session: EditSession }) {
  return (
    <>
      <NumberField name="denoisingStrength" step={0.05} />
      <MaskFields session={session} />
      <EditSize session={session} />
    </>
  );
}

/** Upscalers that need no file. */
const PLAIN_UPSCALERS = ['Lanczos', 'Nearest'];

/** A1111's extras: the picture as it is, larger. */
export function UpscaleFields({ session }: { session: EditSession }) {
  const app = useApp();
  const { state } = app;
  const networks = (state.catalog.value.models ?? []).filter(({ kind }) => kind === 'esrgan');
  const upscalers = [...PLAIN_UPSCALERS, ...networks.map(({ name }) => name)];
  const isRunning = state.isRunning.value;
  return (
    <details>
      <summary>{t.edit.upscale}</summary>
      <div class="upscale-fields">
        <div class="field-grid">
          <SelectField
            name="upscaler"
            options={upscalers.map((value) => ({ value, label: value }))}
          />
          <NumberField name="upscaleBy" step={0.5} />
        </div>
        <button
          type="button"
          disabled={!session.hasPicture.value || isRunning}
          onClick={() => void enlarge(app, session)}
        >
          {t.edit.upscaleButton}
        </button>
      </div>
    </details>
  );
}
