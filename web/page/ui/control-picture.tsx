import { useState } from 'preact/hooks';
import { takeControlPicture } from '../actions.ts';
import { type ControlUnit, unitField } from '../control-form.ts';
import { firstFile } from '../init-picture.ts';
import { dropPicture } from '../kept-pictures.ts';
import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';
import { FileChooser } from './file-drop.tsx';
import { CloseIcon } from './icons.tsx';
import { problemText } from './number-field.tsx';
import { SlotNote } from './picture-slot.tsx';
import { OWN_FILES } from './use-file-drag.ts';
import { useObjectUrl } from './use-object-url.ts';

/** Makes an element take what is dropped on it or pasted in it, in the window's place. */
export function useOwnFiles(onFile: (file: File) => void) {
  const [isOver, setOver] = useState(false);
  const take = (event: Event, data: DataTransfer | null) => {
    setOver(false);
    const file = firstFile(data);
    if (!file) return;
    event.preventDefault();
    onFile(file);
  };
  return {
    isOver,
    handlers: {
      [OWN_FILES]: '',
      onDragOver: (event: DragEvent) => {
        setOver(event.dataTransfer?.types.includes('Files') ?? false);
      },
      onDragLeave: (event: DragEvent) => {
        const { currentTarget: area, relatedTarget: into } = event;
        if (!(area instanceof Node && into instanceof Node && area.contains(into))) setOver(false);
      },
      onDrop: (event: DragEvent) => take(event, event.dataTransfer),
      onPaste: (event: ClipboardEvent) => take(event, event.clipboardData),
    },
  };
}

interface ControlPictureProps {
  readonly unit: ControlUnit;
  readonly hasInit: boolean;
  readonly isOver: boolean;
}

/** What a unit keeps to: a picture of its own, else the one that the job begins with. */
export function ControlPicture({ unit, hasInit, isOver }: ControlPictureProps) {
  const app = useApp();
  const { state } = app;
  const slot = state.controls[unit];
  const picture = slot?.picture.value ?? null;
  const url = useObjectUrl(picture?.file ?? null);
  const shown = state.pictures.value[state.selectedIndex.value];
  // What Create misses Edit may have: its canvas.
  const problem = hasInit ? undefined : state.fieldProblems.value[unitField(unit, 'Use')];
  if (!slot) return null;
  const take = (file: Blob) => void takeControlPicture(app, unit, file);
  const whatFor = hasInit ? t.control.dropInit : t.control.drop;
  return (
    <div class="control-picture">
      {url && (
        <div class="control-thumb">
          <img src={url} alt={t.control.alt(unit)} />
          <button
            type="button"
            class="icon-button small"
            title={t.control.remove(unit)}
            onClick={() => dropPicture(slot)}
          >
            <CloseIcon />
            <span class="visually-hidden">{t.control.remove(unit)}</span>
          </button>
        </div>
      )}
      <div class="control-intake">
        <FileChooser
          text={picture ? t.create.initReplace : whatFor}
          button={t.create.initChoose}
          onFile={take}
          isOver={isOver}
        />
        {shown && (
          <button type="button" class="chip" onClick={() => take(shown.file)}>
            {t.control.takeShown}
          </button>
        )}
        {problem && (
          <p class="field-problem" role="alert">
            {problemText(problem)}
          </p>
        )}
        <SlotNote slot={slot} />
      </div>
    </div>
  );
}
