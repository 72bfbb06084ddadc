// Writes docs/a1111-compatibility.md from the tables in bridge/a1111/.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runnerImport } from 'vite';

const root = new URL('..', import.meta.url);
const source = fileURLToPath(new URL('bridge/a1111/compatibility-page.ts', root));
const { module } = await runnerImport(source);
writeFileSync(new URL('docs/a1111-compatibility.md', root), module.compatibilityPage());
