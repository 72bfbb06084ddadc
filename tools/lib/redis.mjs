// Finds the Redis or Valkey server that the tests of the shared queue start; on Debian, as root, installs it.
import { ensureProgram, findProgram, isExecutable } from './programs.mjs';

/** Path of redis-server or valkey-server on this machine, or null. `EASEL_REDIS` wins. */
export function findRedis() {
  const wanted = process.env.EASEL_REDIS;
  if (wanted) return isExecutable(wanted) ? wanted : null;
  return findProgram(['redis-server', 'valkey-server']);
}

/** Like `findRedis`, but installs Debian's package where that is possible, else says what to do. */
export function ensureRedis() {
  return ensureProgram({
    find: findRedis,
    // The tests start it themselves; no service is wanted.
    packages: ['redis-server'],
    announcement: 'Installing Redis for the tests of the shared queue …',
    advice:
      'The tests of the shared queue need Redis or Valkey. Install one (Debian, Ubuntu: apt-get install redis-server) or set EASEL_REDIS to the path of the server, then run npm test again.',
  });
}
