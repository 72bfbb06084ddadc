import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { writeFileWhole } from '../files.ts';
import { type AccessSecrets, randomToken } from './access-control.ts';

const secretsFile = z.object({
  sessionKey: z.string().min(32),
  capability: z.string().min(32),
});

/** Reads the secrets of the data folder; makes new ones where there are none or the file is damaged. */
export async function openAccessSecrets(dataFolder: string): Promise<AccessSecrets> {
  const path = join(dataFolder, 'access.json');
  try {
    return secretsFile.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    const secrets = { sessionKey: randomToken(), capability: randomToken() };
    await writeFileWhole(path, JSON.stringify(secrets));
    return secrets;
  }
}
