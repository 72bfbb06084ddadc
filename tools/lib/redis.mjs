// Finds the Redis or Valkey server that the tests of the shared queue start; on Debian, as root, installs it.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of redis-server or valkey-server on this machine, or null. `EASEL_REDIS` wins. */
export function findRedis() {
  const wanted = process.env.EASEL_REDIS;
  if (wanted) return isExecutable(wanted) ? wanted : null;
  for (const name of ['redis-server', 'valkey-server']) {
    for (const folder of (process.env.PATH ?? '').split(delimiter)) {
      if (isExecutable(join(folder, name))) return join(folder, name);
    }
  }
  return null;
}

/** Like `findRedis`, but installs Debian's package where that is possible, else says what to do. */
export function ensureRedis() {
  const found = findRedis();
  if (found) return found;
  if (existsSync('/etc/debian_version') && process.getuid?.() === 0) {
    console.log('Installing Redis for the tests of the shared queue …');
    const run = (args) =>
      spawnSync('apt-get', args, {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      });
    run(['-q', 'update']);
    // The tests start it themselves; no service is wanted.
    run(['-q', '-y', 'install', '--no-install-recommends', 'redis-server']);
  }
  const installed = findRedis();
  if (installed) return installed;
  console.error(
    'The tests of the shared queue need Redis or Valkey. Install one (Debian, Ubuntu: apt-get install redis-server) or set EASEL_REDIS to the path of the server, then run npm test again.',
  );
  process.exit(1);
}
