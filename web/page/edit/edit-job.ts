import type { ActionContext } from '../actions.ts';
import { runJob } from '../actions.ts';
import { toEditParams, toUpscaleParams } from '../form.ts';
import { toBase64 } from '../init-picture.ts';
import { controlImages } from '../kept-pictures.ts';
import { withStyles } from '../prompt-styles.ts';
import type { EditSession } from './edit-session.ts';

let isPreparing = false;

/** Encodes what is on the canvas and runs a job of it; a second call meanwhile does nothing. */
async function withCanvas(context: ActionContext, run: () => Promise<void>): Promise<void> {
  if (isPreparing || context.state.job.value) return;
  isPreparing = true;
  try {
    await run();
  } catch {
    const message = 'The canvas could not be read: the browser is out of memory.';
    context.state.problem.value = { code: 'out-of-memory', message };
  } finally {
    isPreparing = false;
  }
}

/** Redraws the canvas, or of a masked one the masked part; says what is wrong where a field is. */
export async function redraw(context: ActionContext, session: EditSession): Promise<void> {
  if (!session.hasPicture.value) return;
  const { state, drawSeed } = context;
  await withCanvas(context, async () => {
    const initImage = await toBase64(await session.layers.flattened());
    const mask = session.hasMask.value ? await toBase64(await session.layers.jobMask()) : null;
    const result = toEditParams(
      withStyles(state.formValues.value, state.styles),
      { initImage, mask },
      { controlImages: controlImages(state.controls), ...(drawSeed ? { draw: drawSeed } : {}) },
    );
    if ('problems' in result) state.fieldProblems.value = result.problems;
    else void runJob(context, result.params);
  });
}

/** Enlarges the whole canvas, mask aside. */
export async function enlarge(context: ActionContext, session: EditSession): Promise<void> {
  if (!session.hasPicture.value) return;
  const { state } = context;
  await withCanvas(context, async () => {
    const result = toUpscaleParams(
      state.formValues.value,
      await toBase64(await session.layers.flattened()),
    );
    if ('problems' in result) state.fieldProblems.value = result.problems;
    else void runJob(context, result.params);
  });
}
