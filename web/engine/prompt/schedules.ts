import { parseScheduleTree, type ScheduleNode } from './schedule-tree.ts';

/** A stretch of a prompt's schedule: `text` is in force up to and including step `lastStep`, counted from 1. */
export interface ScheduledText {
  readonly lastStep: number;
  readonly text: string;
}

export interface ScheduleOptions {
  /** Steps of the second pass, when the schedule is for that pass. */
  readonly hiresSteps?: number | null;
  /** A1111's `use_old_scheduling`: numbers below 1 are fractions, whatever their spelling. */
  readonly useOldScheduling?: boolean;
}

/**
 * What a prompt says at which step, by A1111's prompt editing: `[before:after:when]`, `[after:when]`,
 * `[before::when]`, and `[a|b]`, which alternates from step to step.
 *
 * `when` with a point is a fraction of the steps, without one a step. In the second pass of a hires job a fraction
 * counts from 1.0, and a step from the first pass's last. Whatever does not parse stays text; at least one entry,
 * and the last one's `lastStep` is the number of steps.
 */
export function schedulePrompt(
  prompt: string,
  steps: number,
  options: ScheduleOptions = {},
): ScheduledText[] {
  const { hiresSteps = null, useOldScheduling = false } = options;
  const isHires = hiresSteps !== null && !useOldScheduling;
  const total = isHires ? hiresSteps : steps;
  const tree = parseScheduleTree(prompt);
  if (!tree) return [{ lastStep: total, text: prompt }];

  const switchStep = (when: string): number => {
    const value = Number(when);
    if (useOldScheduling) return cutStep(value < 1 ? value * steps : value, total);
    if (when.includes('.')) return cutStep((value - (isHires ? 1 : 0)) * total, total);
    return cutStep(value - (isHires ? steps : 0), total);
  };
  const ends = new Set([total, ...tree.whens.map(switchStep).filter((step) => step >= 1)]);
  if (tree.hasAlternates) for (let step = 1; step <= total; step++) ends.add(step);
  return [...ends]
    .sort((a, b) => a - b)
    .map((lastStep) => ({ lastStep, text: textAt(tree.nodes, lastStep, switchStep) }));
}

/** Python's `min(total, int(value))`. */
function cutStep(value: number, total: number): number {
  return Math.min(total, Math.trunc(value));
}

/** The text of a step. A stack of its own, since nesting is as deep as the prompt is long. */
function textAt(
  nodes: readonly ScheduleNode[],
  step: number,
  switchStep: (when: string) => number,
): string {
  let text = '';
  const open = [{ nodes, next: 0 }];
  for (let frame = open.at(-1); frame; frame = open.at(-1)) {
    const node = frame.nodes[frame.next++];
    if (node === undefined) open.pop();
    else if (typeof node === 'string') text += node;
    else open.push({ nodes: chosen(node, step, switchStep), next: 0 });
  }
  return text;
}

function chosen(
  node: Exclude<ScheduleNode, string>,
  step: number,
  switchStep: (when: string) => number,
): readonly ScheduleNode[] {
  switch (node.type) {
    case 'sequence':
      return node.nodes;
    case 'scheduled':
      return step <= switchStep(node.when) ? node.before : node.after;
    case 'alternate':
      return node.options[(step - 1) % node.options.length] ?? [];
  }
}
