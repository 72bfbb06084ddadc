import { openBenchEngine } from './engine.ts';
import { atMost, type BenchRow, figure } from './row.ts';

/** First load (read, compile, store, open) against the second (open what is stored), one profile. */
export async function benchLoad(): Promise<BenchRow[]> {
  const engine = await openBenchEngine({ device: 'wasm', isLoaded: false });
  try {
    const loadSeconds = async () => {
      const startedAt = performance.now();
      await engine.bridge.ready();
      return (performance.now() - startedAt) / 1000;
    };
    const reopen = async () => {
      await engine.page.close();
      engine.page = await engine.context.newPage();
      await engine.page.goto(`${engine.bridge.url}/?device=wasm`);
    };
    await loadSeconds();
    // The page's own start is in both; what the store holds decides. Measured by the engine itself.
    const timed = async (clear: boolean) => {
      if (clear) {
        await engine.page.evaluate(async () => {
          for (const { name } of await indexedDB.databases())
            if (name) indexedDB.deleteDatabase(name);
        });
      }
      await reopen();
      await loadSeconds();
      const { summary } = await engine.generate({ prompt: 'x', steps: 1, width: 256, height: 256 });
      return summary.timings.loadSeconds;
    };
    const first = await timed(true);
    const second = await timed(false);
    return [
      atMost(
        'load',
        'second load ÷ first load',
        second / first,
        '',
        0.3,
        'easel-tiny on wasm, the engine’s own clock; the second finds the compiled model in IndexedDB',
      ),
      figure('load', 'first load', first, 's', 'read, hash, compile, store, open sessions'),
      figure('load', 'second load', second, 's', 'open sessions from the store'),
    ];
  } finally {
    await engine.close();
  }
}
