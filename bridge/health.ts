import type { EngineActivity } from '../protocol/device.ts';
import { EASEL_VERSION } from '../protocol/version.ts';
import { activitySentence } from './activity-text.ts';
import type { EngineView, QueueView } from './services.ts';

export type HealthStatus =
  | 'starting'
  | 'no-engine'
  | 'loading'
  | 'compiling'
  | 'ready'
  | 'gpu-blocked'
  | 'stopping';

/** The reply of `GET /health`. */
export interface Health {
  readonly status: HealthStatus;
  readonly version: string;
  /** One sentence for a person. */
  readonly message: string;
  readonly engines: readonly {
    readonly id: string;
    readonly device: string | null;
    readonly adapter: string | null;
    readonly state: string;
    readonly checkpoint: string | null;
    readonly precision: string | null;
  }[];
  readonly queue: { readonly waiting: number; readonly running: number; readonly limit: number };
  readonly activity: EngineActivity | null;
}

export interface HealthFacts {
  readonly engines: readonly EngineView[];
  readonly queue: Pick<QueueView, 'waiting' | 'running' | 'limit'>;
  readonly isStopping: boolean;
  /** True while another bridge on the same queue has an engine. */
  readonly hasOtherEngines?: boolean;
  /** True from the start until the browser that we opened has attached or had its time. */
  readonly isStarting: boolean;
  /** A model that is being downloaded, or null. */
  readonly download: EngineActivity | null;
  /** Address to open where no page is. */
  readonly pageUrl: string;
}

/** What an engine does, where it may have our job before it says so itself. */
function stateOf({ status, hasJob, isSilent }: EngineView): string {
  if (isSilent) return 'waiting';
  return hasJob && status.state === 'idle' ? 'busy' : status.state;
}

function statusOf({ engines, isStopping, isStarting, hasOtherEngines }: HealthFacts): HealthStatus {
  if (isStopping) return 'stopping';
  const states = engines.map(stateOf);
  const works = engines.some((engine) => engine.hasJob && !engine.isSilent);
  if (works || states.includes('idle') || states.includes('busy')) return 'ready';
  if (states.includes('compiling')) return 'compiling';
  if (states.includes('loading')) return 'loading';
  if (states.includes('blocked')) return 'gpu-blocked';
  if (hasOtherEngines) return 'ready';
  return isStarting ? 'starting' : 'no-engine';
}

function sentence(
  status: HealthStatus,
  facts: HealthFacts,
  activity: EngineActivity | null,
): string {
  const said = facts.engines.find(({ status: { message } }) => message !== null)?.status.message;
  switch (status) {
    case 'stopping':
      return 'Easel is stopping.';
    case 'starting':
      return 'The browser is being opened.';
    case 'no-engine':
      return `No engine is attached. Open ${facts.pageUrl} in a browser on the machine with the GPU and leave the tab open.`;
    case 'gpu-blocked':
      return (
        said ?? 'The browser has blocked the GPU after a crash. It comes back within two minutes.'
      );
    case 'loading':
    case 'compiling':
      return activity ? `${activitySentence(activity)}.` : 'A checkpoint is being loaded.';
    default:
      if (said) return said;
      // A job whose checkpoint is being compiled: that is what takes so long.
      if (activity) return `${activitySentence(activity)}.`;
      return facts.queue.running > 0 ? 'A picture is being made.' : 'Ready for requests.';
  }
}

/** What the bridge says about itself. */
export function healthOf(facts: HealthFacts): Health {
  const status = statusOf(facts);
  const working = facts.engines.find((engine) => engine.status.activity)?.status.activity;
  const activity = working ?? facts.download;
  return {
    status,
    version: EASEL_VERSION,
    message: sentence(status, facts, activity),
    engines: facts.engines.map((engine) => ({
      id: engine.id,
      device: engine.status.device?.provider ?? null,
      adapter: engine.status.device?.adapter ?? null,
      state: stateOf(engine),
      checkpoint: engine.status.checkpoint,
      precision: engine.status.precision,
    })),
    queue: {
      waiting: facts.queue.waiting,
      running: facts.queue.running,
      limit: facts.queue.limit,
    },
    activity,
  };
}

/** 200 where a request would be served now or soon, else 503. */
export function healthHttpStatus(status: HealthStatus): 200 | 503 {
  return ['ready', 'loading', 'compiling'].includes(status) ? 200 : 503;
}
