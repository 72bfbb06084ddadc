import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const DISK_MIB = 4;

/** A disk that a test can fill to its last byte. */
export interface SmallDisk {
  /** What it is, for the figures. */
  readonly how: string;
  /** Where a bridge may keep everything. */
  readonly path: string;
  /** The folder for pictures on it. */
  readonly outputs: string;
  fill(): void;
  free(): void;
  remove(): void;
}

/**
 * A file system of its own in memory, which takes root on Linux. Elsewhere a file lies where the folder of
 * pictures would be: nothing can be written there either, by the same way through the code.
 */
export function smallDisk(path: string): SmallDisk {
  mkdirSync(path);
  const outputs = join(path, 'out');
  const isMounted =
    spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'tmpfs', path]).status === 0;
  if (!isMounted) {
    return {
      ...{ how: 'a folder that cannot be written', path, outputs },
      fill: () => writeFileSync(outputs, ''),
      free: () => rmSync(outputs),
      remove: () => {},
    };
  }
  const ballast = join(path, 'ballast');
  return {
    ...{ how: `tmpfs of ${DISK_MIB} MiB, filled`, path, outputs },
    fill() {
      const file = openSync(ballast, 'w');
      // Whole blocks, then single bytes: at the end not one more fits.
      for (const size of [65_536, 4_096, 1]) {
        const block = Buffer.alloc(size, 1);
        for (;;) {
          try {
            writeSync(file, block);
          } catch {
            break;
          }
        }
      }
      closeSync(file);
    },
    free: () => rmSync(ballast),
    remove: () => void spawnSync('umount', [path]),
  };
}
