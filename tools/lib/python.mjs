// Finds the Python that real client programs run in, and puts them into an environment of their own; on Debian, as
// root, installs Python.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureProgram, findProgram, isExecutable } from './programs.mjs';
import { ROOT } from './setup.mjs';

const REQUIREMENTS = join(ROOT, 'tools/clients/requirements.txt');
const ENVIRONMENT = join(ROOT, 'node_modules/.cache/easel-clients');
/** Debian parts Python from what makes environments. */
const NEEDED = 'import ensurepip, venv';

/** Path of a Python 3 that can make environments, or null. `EASEL_PYTHON` wins. */
export function findPython() {
  const wanted = process.env.EASEL_PYTHON;
  const path = wanted ? (isExecutable(wanted) ? wanted : null) : findProgram(['python3', 'python']);
  return path !== null && spawnSync(path, ['-c', NEEDED]).status === 0 ? path : null;
}

/** Like `findPython`, but installs Debian's packages where that is possible, else says what to do. */
export function ensurePython() {
  return ensureProgram({
    find: findPython,
    packages: ['python3', 'python3-venv'],
    announcement: 'Installing Python for the tests with real clients …',
    advice:
      'The tests with real clients need Python 3 with venv. Install it (Debian, Ubuntu: apt-get install python3 python3-venv) or set EASEL_PYTHON to its path, then run the same command again.',
  });
}

/** Python of an environment that holds the client programs, made now unless it is there already. Throws where pip fails. */
export function ensureClients() {
  const folder = process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python';
  const python = join(ENVIRONMENT, folder);
  const stamp = join(ENVIRONMENT, 'requirements.sha256');
  const hash = createHash('sha256').update(readFileSync(REQUIREMENTS)).digest('hex');
  if (existsSync(python) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash)
    return python;
  rmSync(ENVIRONMENT, { recursive: true, force: true });
  run(ensurePython(), ['-m', 'venv', ENVIRONMENT]);
  run(python, [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--no-compile',
    '--disable-pip-version-check',
    '-r',
    REQUIREMENTS,
  ]);
  writeFileSync(stamp, hash);
  return python;
}

function run(command, args) {
  const { status, error, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status === 0) return;
  throw new Error(`${command} ${args.join(' ')} ended with ${status ?? error?.message}\n${stderr}`);
}
