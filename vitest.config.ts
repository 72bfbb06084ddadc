import { defineConfig } from 'vitest/config';

// Two projects: pure logic in Node; what needs a browser is driven from test/browser and test/e2e.
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'node',
          environment: 'node',
          include: ['test/{protocol,compiler,engine,bridge,page,tools}/**/*.test.{ts,tsx}'],
          testTimeout: 60_000,
        },
      },
    ],
  },
});
