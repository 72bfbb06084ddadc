import type { Logger } from '../log.ts';
import type { OutputStore } from '../services.ts';
import type { JobRecord, SavePictures, StoredResult } from './job-store.ts';

/** How a job's pictures are written, as its request says. A full disk costs the file, not the picture. */
export function picturesOf(
  record: JobRecord,
  { images, summary }: StoredResult,
  { outputs, log }: { outputs: OutputStore; log: Logger },
): SavePictures {
  return async ({ isRedo, kept }) => {
    const paths: (string | null)[] = [];
    for (const image of images) {
      if (!record.saveImages) {
        paths.push(null);
        continue;
      }
      try {
        const options = { isRedo, after: kept, saving: record.saving };
        paths.push(await outputs.save(image, record.params, summary, options));
      } catch (error) {
        paths.push(null);
        log.error('A picture could not be saved; the client still gets it.', {
          job: record.jobId,
          error: String(error),
        });
      }
    }
    return paths;
  };
}
