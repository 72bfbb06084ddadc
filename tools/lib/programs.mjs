// Programs that the tests drive: finding them on this machine, and installing Debian's packages of them.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of the first of these names that is found in PATH, or null. */
export function findProgram(names) {
  for (const name of names) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      const path = join(folder, name);
      if (isExecutable(path)) return path;
    }
  }
  return null;
}

/**
 * What `find` finds; where that is nothing, Debian's packages are installed as root and `find` is asked again. Ends the
 * process with `advice` where there is no such program still.
 */
export function ensureProgram({ find, packages, announcement, advice }) {
  const found = find();
  if (found) return found;
  if (existsSync('/etc/debian_version') && process.getuid?.() === 0) {
    console.log(announcement);
    const run = (args) =>
      spawnSync('apt-get', args, {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      });
    run(['-q', 'update']);
    run(['-q', '-y', 'install', '--no-install-recommends', ...packages]);
  }
  const installed = find();
  if (installed) return installed;
  console.error(advice);
  process.exit(1);
}
