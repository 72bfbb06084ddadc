import { readdirSync, readFileSync } from 'node:fs';

/** Bytes of a browser's memory by kind of process, and their sum. Linux alone tells them. */
export interface BrowserMemory {
  readonly total: number;
  readonly renderer: number;
  readonly gpu: number;
}

/** Process ids by parent, of everything that runs. */
function childrenByParent(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      // The name in brackets may hold spaces; the parent is the second field after it.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(pid)]);
    } catch {
      // The process ended between the listing and the reading.
    }
  }
  return children;
}

/**
 * Proportional set size (PSS) of all processes below this one that a browser consists of: what is private,
 * and of what is shared each process's share.
 */
export function browserMemory(): BrowserMemory {
  const children = childrenByParent();
  const below = (pid: number): number[] =>
    (children.get(pid) ?? []).flatMap((child) => [child, ...below(child)]);
  const sums = { total: 0, renderer: 0, gpu: 0 };
  for (const pid of below(process.pid)) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      if (!/chrom|msedge/i.test(command.split('\0')[0] ?? '')) continue;
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      const bytes = Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1] ?? 0) * 1024;
      sums.total += bytes;
      if (command.includes('--type=renderer')) sums.renderer += bytes;
      if (command.includes('--type=gpu-process')) sums.gpu += bytes;
    } catch {
      // As above.
    }
  }
  return sums;
}

/** The largest of each figure while `work` runs. */
export async function peakMemory<T>(
  work: () => Promise<T>,
  intervalMs = 250,
): Promise<{ result: T; peak: BrowserMemory }> {
  const peak = { total: 0, renderer: 0, gpu: 0 };
  const sample = () => {
    const now = browserMemory();
    for (const kind of ['total', 'renderer', 'gpu'] as const) {
      peak[kind] = Math.max(peak[kind], now[kind]);
    }
  };
  sample();
  const timer = setInterval(sample, intervalMs);
  try {
    return { result: await work(), peak };
  } finally {
    clearInterval(timer);
    sample();
  }
}
