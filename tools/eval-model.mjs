// `npm run eval:model`: measures the embedded model with tools/train/evaluate.py and draws its sheets. Installs and
// downloads nothing: where something is missing it says what to run. Further flags go to evaluate.py.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ROOT } from './lib/setup.mjs';

const TRAIN = join(ROOT, 'tools', 'train');
const MODEL = join(ROOT, 'public', 'models', 'easel-tiny');
const LORA = join(ROOT, 'public', 'models', 'easel-tiny-lcm.safetensors');
const MODULES = ['numpy', 'PIL', 'safetensors', 'torch', 'transformers', 'diffusers'];
/** Exit status of the check where a module is missing, and where Python is too old. */
const [NO_MODULE, TOO_OLD] = [3, 4];
const CHECK = `
import importlib.util, sys
if sys.version_info < (3, 11): print(sys.version.split()[0]); sys.exit(${TOO_OLD})
missing = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
if missing: print(", ".join(missing)); sys.exit(${NO_MODULE})
`;

function fail(message) {
  console.error(message);
  process.exit(1);
}

/** The first Python that starts: the one given, a virtual environment's in the work folder, the path's. */
function findPython(given, work) {
  const inVenv = [join(work, 'venv', 'bin', 'python'), join(work, 'venv', 'Scripts', 'python.exe')];
  const candidates = given ? [given] : [...inVenv.filter(existsSync), 'python3', 'python'];
  for (const python of candidates) {
    const result = spawnSync(python, ['-c', CHECK, ...MODULES], { encoding: 'utf8' });
    if (result.error) continue;
    const said = result.stdout.trim();
    if (result.status === TOO_OLD)
      fail(`${python} is Python ${said}; the evaluation needs 3.11 or newer (--python names it).`);
    if (result.status === NO_MODULE)
      fail(
        `${python} lacks ${said}. Install with: ${python} -m pip install -r tools/train/requirements.txt`,
      );
    if (result.status === 0) return python;
  }
  return fail(
    `No Python was found${given ? ` at ${given}` : ''}. Install Python 3.11 or newer, or name it with --python.`,
  );
}

const { values, tokens } = parseArgs({
  options: { work: { type: 'string' }, python: { type: 'string' } },
  strict: false,
  tokens: true,
});
const own = new Set(['work', 'python']);
const passed = tokens.flatMap((token) => {
  if (token.kind === 'positional') return [token.value];
  if (token.kind !== 'option' || own.has(token.name)) return [];
  return token.inlineValue ? [`${token.rawName}=${token.value}`] : [token.rawName];
});
const work = resolve(
  values.work ?? process.env.EASEL_TRAINING ?? join(ROOT, '..', 'easel-training'),
);
const python = findPython(values.python, work);
if (!existsSync(join(work, 'icons.json')))
  fail(
    `There are no icons in ${work}. They are what the model is judged by; draw them with:\n` +
      `  mkdir -p ${work} && cd ${work} && cp ${join(TRAIN, 'package.json')} . && npm install && node ${join(TRAIN, 'render.mjs')}\n` +
      'or name the work folder of a training with --work.',
  );
const out = join(work, 'evaluation');
mkdirSync(out, { recursive: true });
const args = [join(TRAIN, 'evaluate.py'), '--model', MODEL, '--data', work];
args.push('--sheet', join(out, 'sheet.jpg'), '--scenes-sheet', join(out, 'scenes.jpg'));
args.push('--uses-sheet', join(out, 'uses.jpg'), '--report', join(out, 'report.json'));
if (existsSync(LORA)) args.push('--lora', LORA);
const { status } = spawnSync(python, [...args, ...passed], { stdio: 'inherit' });
if (status === 0) console.log(`Sheets and report: ${out}`);
process.exit(status ?? 1);
