import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../tools/eval-model.mjs', import.meta.url));

let work = '';
beforeEach(() => {
  work = mkdtempSync(join(tmpdir(), 'easel-eval-'));
});
afterEach(() => rmSync(work, { recursive: true }));

/** The command with a Python that is a shell script of ours, or with one that does not exist. */
function evaluate(python: string | null, ...args: string[]) {
  const path = join(work, 'python');
  if (python !== null) writeFileSync(path, `#!/bin/sh\n${python}\n`, { mode: 0o755 });
  const command = [SCRIPT, '--work', work, '--python', path, ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' });
  return { status, stdout, stderr, path };
}

test('without Python it says what to install', () => {
  const { status, stderr, path } = evaluate(null);
  expect(status).toBe(1);
  expect(stderr).toContain(`No Python was found at ${path}`);
});

test('missing requirements and an old Python are named', () => {
  const missing = evaluate('echo "torch, diffusers"; exit 3');
  expect([missing.status, missing.stderr]).toEqual([1, expect.stringContaining('lacks torch, di')]);
  expect(missing.stderr).toContain('pip install -r tools/train/requirements.txt');
  const old = evaluate('echo 3.9.2; exit 4');
  expect([old.status, old.stderr]).toEqual([1, expect.stringContaining('is Python 3.9.2')]);
});

test('without icons it says how to draw them', () => {
  const { status, stderr } = evaluate('exit 0');
  expect(status).toBe(1);
  expect(stderr).toContain('There are no icons');
  expect(stderr).toContain('render.mjs');
});

test('it runs the evaluation on the embedded model, passes flags on, and ends with its status', () => {
  writeFileSync(join(work, 'icons.json'), '[]');
  const log = join(work, 'log');
  const { status } = evaluate(
    `[ "$1" = -c ] && exit 0; echo "$@" > ${log}; exit 7`,
    '--count',
    '20',
    '--scale=4',
  );
  expect(status).toBe(7);
  const said = readFileSync(log, 'utf8');
  expect(said).toMatch(/evaluate\.py --model \S*public\/models\/easel-tiny --data /);
  expect(said).toMatch(/--count 20 --scale=4$/m);
});
