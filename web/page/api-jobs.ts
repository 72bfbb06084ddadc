import { batch, type Signal, signal } from '@preact/signals';
import { pictureFileName } from '../../protocol/file-name.ts';
import type { GenerationProgress } from '../shared/engine.ts';
import { type BridgeApi, type BridgeEvent, openJobs } from './bridge-api.ts';
import type { Picture } from './picture.ts';
import { formOfInfotext } from './png-info.ts';
import { randomId } from './random-id.ts';

/** A job that another program has given to the bridge. */
export interface ApiJob {
  readonly jobId: string;
  /** Name of the program, as the bridge knows it. */
  readonly client: string;
  readonly progress: GenerationProgress | null;
  readonly preview: Blob | null;
}

export interface ApiPicture {
  readonly client: string;
  readonly picture: Picture;
}

export interface ApiJobsState {
  /** The job that is being worked on; null where none is. */
  readonly current: Signal<ApiJob | null>;
  /** The newest pictures of other programs, newest first. */
  readonly pictures: Signal<readonly ApiPicture[]>;
}

const MAX_PICTURES = 12;
/** The bridge hands a picture out once its job is written down, a moment after it says so. */
const FETCH_TRIES = 6;
const FETCH_PAUSE_MS = 400;

export function createApiJobsState(): ApiJobsState {
  return { current: signal(null), pictures: signal<readonly ApiPicture[]>([]) };
}

type ImageEvent = Extract<BridgeEvent, { type: 'job-image' }>;

function toPicture(event: ImageEvent, bytes: Uint8Array<ArrayBuffer>, now: Date): Picture {
  const { prompt, negativePrompt, seed, width, height, format, infotext } = event;
  const form = formOfInfotext(infotext);
  return {
    info: {
      id: randomId(),
      createdAt: now.getTime(),
      fileName: pictureFileName({ prompt, seed, format, date: now }),
      sizeBytes: bytes.length,
      infotext,
      prompt,
      negativePrompt,
      seed,
      width,
      height,
      steps: Number(form.steps ?? 0),
      guidanceScale: Number(form.guidanceScale ?? 0),
      sampler: form.sampler ?? '',
      scheduler: form.scheduler ?? '',
      checkpoint: form.checkpoint ?? null,
    },
    file: new Blob([bytes], { type: `image/${format === 'jpg' ? 'jpeg' : format}` }),
  };
}

export interface FollowOptions {
  /** Keys of this page's own jobs, which are shown elsewhere. */
  readonly ownKeys: ReadonlySet<string>;
  readonly now?: () => Date;
  readonly pauseMs?: number;
}

/** Shows what other programs have made through the bridge; returns the unsubscriber. */
export function followApiJobs(
  state: ApiJobsState,
  api: BridgeApi,
  { ownKeys, now = () => new Date(), pauseMs = FETCH_PAUSE_MS }: FollowOptions,
): () => void {
  /** Who asked for a job; null for jobs that are not to be shown. One question a job. */
  const clients = new Map<string, Promise<string | null>>();
  const images = new Map<string, ImageEvent[]>();

  async function askClient(jobId: string): Promise<string | null> {
    const { jobs } = await api.get('easel/v1/jobs', openJobs);
    const job = jobs.find(({ id }) => id === jobId);
    return job && !(job.key !== null && ownKeys.has(job.key)) ? job.client : null;
  }

  function clientOf(jobId: string): Promise<string | null> {
    const known = clients.get(jobId) ?? askClient(jobId).catch(() => null);
    clients.set(jobId, known);
    return known;
  }

  function update(jobId: string, client: string, change: Partial<ApiJob>): void {
    const present = state.current.value;
    const base =
      present?.jobId === jobId ? present : { jobId, client, progress: null, preview: null };
    state.current.value = { ...base, ...change };
  }

  async function fetchPicture(event: ImageEvent): Promise<Picture | null> {
    for (let attempt = 0; attempt < FETCH_TRIES; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      const bytes = await api.bytes(event.url).catch(() => null);
      if (bytes) return toPicture(event, bytes, now());
    }
    return null;
  }

  async function end(jobId: string, client: string): Promise<void> {
    const made = images.get(jobId) ?? [];
    images.delete(jobId);
    clients.delete(jobId);
    if (state.current.value?.jobId === jobId) state.current.value = null;
    for (const event of made) {
      const picture = await fetchPicture(event);
      if (!picture) continue;
      batch(() => {
        state.pictures.value = [{ client, picture }, ...state.pictures.value].slice(
          0,
          MAX_PICTURES,
        );
      });
    }
  }

  async function handle(event: BridgeEvent): Promise<void> {
    const { jobId } = event;
    const client = await clientOf(jobId);
    if (client === null) return;
    switch (event.type) {
      case 'job-progress':
        update(jobId, client, { progress: event });
        break;
      case 'job-preview': {
        const bytes = Uint8Array.from(atob(event.data), (character) => character.charCodeAt(0));
        update(jobId, client, { preview: new Blob([bytes]) });
        break;
      }
      case 'job-image':
        images.set(jobId, [...(images.get(jobId) ?? []), event]);
        break;
      case 'job-finished':
        await end(jobId, client);
        break;
      case 'job-failed':
        images.delete(jobId);
        await end(jobId, client);
        break;
    }
  }

  return api.events((event) => void handle(event));
}
