// What docs/promises.md promises in figures, by id and by the name that the test gives to what it measured.
// `most` and `least` are what is still kept.

const most = (limit) => ({ most: limit });
const least = (limit) => ({ least: limit });

const PROMISED = {
  S1: { refusedAfterMs: most(2_000) },
  S7: { sigmas: most(3) },
  S8: { socketClosedMs: most(1_000), streamEndedMs: most(1_000) },
  S9: { grownMiB: most(150) },
  S10: { maxMs: most(50), grownMiB: most(20) },
  S11: { forms: least(300), leaked: most(0) },
  S12: { crossSiteLoads: most(0), scriptsRun: most(0) },
  S13: { connections: most(0) },
  S14: { exits: most(0), unhandled: most(0), healthP99Ms: most(100) },
  S15: { requestsWhenDenied: most(0), picturesWhenGranted: least(1) },
  S17: { found: most(0) },
  R1: { jobs: least(10_000), unanswered: most(0), twice: most(0) },
  R2: { crashMs: most(1_000), frozenMs: most(12_000) },
  R3: { newWorkerMs: most(10_000) },
  R5: { kills: least(500), lost: most(0), partial: most(0), twice: most(0) },
  R6: {
    lost: most(0),
    listenMaxMs: most(2_000),
    attachP95Ms: most(5_000),
    attachMaxMs: most(15_000),
  },
  R7: { seconds: least(600), ratio: least(0.9), silenceMs: most(5_000) },
  R8: {
    ...{ afterFreezeMs: most(3_000), afterSleepMs: most(3_000), afterReloadMs: most(3_000) },
    afterDiscardMs: most(3_000),
  },
  R9: { newDeviceMs: most(10_000), backMs: most(150_000) },
  R10: { takeoverMs: most(2_000) },
  // A step of 200 ms and half a second.
  R11: { maxMs: most(700) },
  // The running job: a step of 20 ms and a second.
  R12: { waitingMs: most(1_000), runningMs: most(1_020) },
  R13: { p99Ms: most(50), grownMiB: most(512) },
  R15: { p99Ratio: most(2) },
  R16: {
    ...{ '450KiBP95Ms': most(25), '2MiBP95Ms': most(200) },
    ...{ pollsPerSecond: least(5_000), pollP99Ms: most(100) },
  },
  R17: {
    // 20,000 in half an hour, whatever the length of a run.
    ...{ jobsPerMinute: least(667), lost: most(0), growthPercent: most(10), filesChange: most(5) },
    heapGrowthPercent: most(10),
  },
  R19: { exitCode: most(0), exitMs: most(10_000) },
  R20: { redoneMs: most(15_000), lost: most(0), backMs: most(5_000) },
  D3: {
    ...{ mebibytes: least(4_096), largestChunkBytes: most(64 * 2 ** 20) },
    // Two, and the piece of 8 MiB that comes from outside.
    chunksInMemory: most(2.2),
  },
  D6: { kills: least(20), broken: most(0) },
  D7: { upgradeMs: most(2_000) },
};

/** Every figure of a run beside what is promised of it: `isKept` is null where nothing is. */
export function judge({ id, ...figures }) {
  return Object.entries(figures).map(([name, value]) => {
    const limit = PROMISED[id]?.[name];
    const promised = !limit
      ? ''
      : 'most' in limit
        ? `at most ${limit.most}`
        : `at least ${limit.least}`;
    const isKept = !limit
      ? null
      : 'most' in limit
        ? Number(value) <= limit.most
        : Number(value) >= limit.least;
    return { id, name, value, promised, isKept };
  });
}
