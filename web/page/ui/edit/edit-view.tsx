import '../../styles/edit.css';
import { useSignalEffect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { redraw } from '../../edit/edit-job.ts';
import { type EditNote, EditSession } from '../../edit/edit-session.ts';
import { browserEditShelf, createEditStore } from '../../edit/edit-store.ts';
import type { Size } from '../../edit/viewport.ts';
import { jobSizeOf } from '../../init-picture.ts';
import { type AppState, setFields } from '../../state.ts';
import { t } from '../../strings/strings.ts';
import { CheckpointField } from '../checkpoint-field.tsx';
import { useApp } from '../context.ts';
import { ControlFields } from '../control-fields.tsx';
import { FileDrop } from '../file-drop.tsx';
import { GenerateBar } from '../generate-bar.tsx';
import { EaselMark } from '../icons.tsx';
import { MoreFields } from '../more-fields.tsx';
import { PromptFields } from '../prompt-fields.tsx';
import { RefinerFields } from '../refiner-fields.tsx';
import { SamplingFields } from '../sampling-fields.tsx';
import { SeedFields } from '../seed-fields.tsx';
import { EditCanvas } from './edit-canvas.tsx';
import { RedrawFields, UpscaleFields } from './edit-fields.tsx';
import { EditResults } from './edit-results.tsx';
import { EditToolbar } from './edit-toolbar.tsx';

/** The longest side that a picture is redrawn at unless one asks for more: what checkpoints are made for. */
const USUAL_MAX_SIDE = 1024;
const BLANK_SIZE = { width: 512, height: 512 };

/** The canvas of this page, opened once. */
function openSession(state: AppState): EditSession {
  const takeSize = (size: Size) => {
    const { width, height } = jobSizeOf(size, USUAL_MAX_SIDE);
    setFields(state, { editWidth: String(width), editHeight: String(height) });
  };
  const session = new EditSession(createEditStore(browserEditShelf()), takeSize);
  addEventListener('pagehide', () => session.flush());
  document.addEventListener('visibilitychange', () => session.flush());
  return session;
}

function useSession(): EditSession {
  const { state } = useApp();
  const { session, incoming } = state.edit;
  const opened = session.peek() ?? openSession(state);
  useEffect(() => {
    session.value = opened;
  }, [session, opened]);
  useSignalEffect(() => {
    const file = incoming.value;
    if (!file) return;
    incoming.value = null;
    void opened.putPicture(file);
  });
  return opened;
}

function noteText(note: EditNote): string {
  return note === 'shrunk' || note === 'not-kept' || note === 'not-restored'
    ? t.edit.notes[note]
    : t.problems.file[note];
}

/** What is there before a picture is. */
function EmptyCanvas({ session }: { session: EditSession }) {
  return (
    <div class="canvas-empty">
      <EaselMark />
      <p class="empty-title">{t.edit.emptyTitle}</p>
      <button type="button" onClick={() => session.putBlank(BLANK_SIZE)}>
        {t.edit.blank}
      </button>
    </div>
  );
}

function EditStage({ session }: { session: EditSession }) {
  const onFit = useRef<() => void>(() => {});
  const hasPicture = session.hasPicture.value;
  const note = session.note.value;
  return (
    <section class="edit-stage">
      {hasPicture && <EditToolbar session={session} onFit={() => onFit.current()} />}
      <div class="edit-mat">
        {hasPicture && <EditCanvas session={session} onFit={onFit} />}
        {!hasPicture && session.isReady.value && <EmptyCanvas session={session} />}
      </div>
      {note && (
        <p class="field-problem" role="alert">
          {noteText(note)}
        </p>
      )}
      <FileDrop
        text={hasPicture ? t.edit.dropAnother : t.edit.drop}
        button={t.edit.choose}
        onFile={(file) => void session.putPicture(file)}
      />
    </section>
  );
}

/** Where pictures are changed: redrawn, in part or in whole, extended, painted on, enlarged. */
export function EditView() {
  const app = useApp();
  const session = useSession();
  const generate = () => void redraw(app, session);
  return (
    <main class="edit" id="content" data-kept={session.isKept.value}>
      <h1 class="visually-hidden">{t.nav.edit}</h1>
      <div class="edit-words">
        <PromptFields onSubmit={generate} />
        <GenerateBar onGenerate={generate} isDisabled={!session.hasPicture.value} />
      </div>
      <EditStage session={session} />
      <EditResults session={session} />
      <div class="edit-settings">
        <CheckpointField />
        <RedrawFields session={session} />
        <SamplingFields />
        <SeedFields />
        <RefinerFields />
        <ControlFields hasInit />
        <MoreFields />
        <UpscaleFields session={session} />
      </div>
    </main>
  );
}
