import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorCode } from './files.ts';

/** Held while one process uses a data folder; the system takes it back however the process ends. */
export interface DataLock {
  release(): Promise<void>;
}

/** A short address that stands for a folder: socket paths end at about 100 characters. */
function lockAddress(folder: string): string {
  const id = createHash('sha256').update(realpathSync(folder)).digest('hex').slice(0, 24);
  if (process.platform === 'win32') return `\\\\.\\pipe\\easel-${id}`;
  return join(tmpdir(), `easel-${process.getuid?.() ?? 0}-${id}.sock`);
}

function listen(address: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', reject);
    server.listen(address, () => {
      server.unref();
      resolve(server);
    });
  });
}

function isAnswered(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Takes the lock of a folder, or null when another process has it. The folder must exist. */
export async function lockDataFolder(folder: string): Promise<DataLock | null> {
  const address = lockAddress(folder);
  for (let attempt = 0; attempt < 3; attempt += 1) {
    try {
      const server = await listen(address);
      return { release: () => new Promise((resolve) => server.close(() => resolve())) };
    } catch (error) {
      if (errorCode(error) !== 'EADDRINUSE') throw error;
    }
    if (await isAnswered(address)) return null;
    // Left by a process that was killed: nobody answers there any more.
    await rm(address, { force: true });
  }
  return null;
}
