/** An event of a job as the bridge tells it, with the time of its arrival by `performance.now`. */
export interface JobEventSeen {
  readonly type: string;
  readonly attempt: number;
  /** What a progress event is about. */
  readonly stage?: string;
  readonly step?: number;
  readonly at: number;
}

/** What a bridge tells of its jobs from now on. */
export async function listenToJobs(
  url: string,
): Promise<{ events: JobEventSeen[]; stop: () => Promise<void> }> {
  const abort = new AbortController();
  const response = await fetch(`${url}/easel/v1/events`, { signal: abort.signal });
  const events: JobEventSeen[] = [];
  const reading = (async () => {
    const decoder = new TextDecoder();
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('data: ')) {
          events.push({ ...(JSON.parse(line.slice(6)) as JobEventSeen), at: performance.now() });
        }
      }
    }
  })().catch(() => {});
  return {
    events,
    async stop() {
      abort.abort();
      await reading;
    },
  };
}

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Milliseconds until a condition holds; rejects, naming what did not come, after `limitMs`. */
export async function until(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  limitMs = 20_000,
): Promise<number> {
  const start = performance.now();
  while (!(await isTrue())) {
    if (performance.now() - start > limitMs) throw new Error(`${what} did not come`);
    await sleep(10);
  }
  return performance.now() - start;
}
