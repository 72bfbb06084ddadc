import { t } from '../strings/strings.ts';
import { useApp } from './context.ts';

/** What the last job has to say beside its pictures. */
export function SummaryNotes() {
  const { state } = useApp();
  const summary = state.summary.value;
  if (!summary) return null;
  const { notes, interrupted } = summary;
  return (
    <>
      {notes.length > 0 && (
        <ul class="notes">
          {notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
      {interrupted && (
        <p class="quiet">
          {state.pictures.value.length > 0 ? t.stage.interrupted : t.stage.nothingMade}
        </p>
      )}
    </>
  );
}
