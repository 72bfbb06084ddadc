import { GENERATION_LIMITS } from '../../../protocol/generation.ts';
import { dropInitPicture, takeInitPicture } from '../actions.ts';
import { RESIZE_MODES } from '../form.ts';
import { type InitPicture, jobSizeOf } from '../init-picture.ts';
import { setFields } from '../state.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { FileDrop } from './file-drop.tsx';
import { CloseIcon } from './icons.tsx';
import { NumberField } from './number-field.tsx';
import { SlotNote } from './picture-slot.tsx';
import { SelectField } from './select-field.tsx';
import { useObjectUrl } from './use-object-url.ts';

/** How a picture is fitted into the job's size. */
export function ResizeModeField() {
  return (
    <SelectField
      name="resizeMode"
      options={RESIZE_MODES.map((value) => ({ value, label: t.create.resizeModes[value] }))}
    />
  );
}

function ChosenPicture({ picture }: { picture: InitPicture }) {
  const { state } = useApp();
  const url = useObjectUrl(picture.file);
  const size = jobSizeOf(picture, GENERATION_LIMITS.maxSide);
  const { width, height } = state.form;
  const hasSize = width.value === String(size.width) && height.value === String(size.height);
  return (
    <div class="init-picture">
      {url && <img src={url} alt={t.create.initAlt} />}
      <div class="init-fields">
        <div class="init-line">
          <span>{t.create.initTitle}</span>
          <button
            type="button"
            class="icon-button small"
            title={t.create.initRemove}
            onClick={() => dropInitPicture(state)}
          >
            <CloseIcon />
            <span class="visually-hidden">{t.create.initRemove}</span>
          </button>
        </div>
        <NumberField name="denoisingStrength" step={0.05} />
        <ResizeModeField />
        {!hasSize && (
          <button
            type="button"
            class="chip"
            onClick={() =>
              setFields(state, { width: String(size.width), height: String(size.height) })
            }
          >
            {t.create.takeSize(size.width, size.height)}
          </button>
        )}
      </div>
    </div>
  );
}

/** The picture that img2img begins with, dropped, pasted or chosen; and how much of it stays. */
export function InitPictureFields() {
  const app = useApp();
  const { state } = app;
  const picture = state.init.picture.value;

  return (
    <div class="field">
      {picture && <ChosenPicture picture={picture} />}
      <FileDrop
        text={picture ? t.create.initReplace : t.create.initDrop}
        button={t.create.initChoose}
        onFile={(file) => void takeInitPicture(app, file)}
      />
      <SlotNote slot={state.init} />
    </div>
  );
}
