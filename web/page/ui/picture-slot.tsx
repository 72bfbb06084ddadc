import type { PictureSlot } from '../kept-pictures.ts';
import { t } from '../strings/strings.ts';

/** What is wrong with the file that was dropped, and whether the picture survives a reload. */
export function SlotNote({ slot }: { slot: PictureSlot }) {
  const problem = slot.problem.value;
  const text = problem ? t.problems.file[problem] : t.create.pictureNotKept;
  if (!problem && slot.isKept.value) return null;
  return (
    <p class="field-problem" role="alert">
      {text}
    </p>
  );
}
