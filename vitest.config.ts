import { defineConfig } from 'vitest/config';
import { CountReporter } from './tools/lib/count-reporter.mjs';

const isLong = process.env.EASEL_PROMISES === 'long';

export default defineConfig({
  test: {
    // The last line of a run is the count that CI reads.
    reporters: ['default', new CountReporter()],
    maxWorkers: 2,
    projects: [
      {
        test: {
          name: 'node',
          environment: 'node',
          include: [
            'test/{protocol,compiler,engine,bridge,page,promises,tools}/**/*.test.{ts,tsx}',
          ],
          testTimeout: 60_000,
        },
      },
      {
        // The whole path: HTTP, the built bridge, the built page in a real Chromium, pixels.
        test: {
          name: 'e2e',
          environment: 'node',
          // What takes minutes each is for `npm run promises` alone.
          include: ['test/e2e/**/*.test.ts', ...(isLong ? ['test/e2e/**/*.long.ts'] : [])],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
