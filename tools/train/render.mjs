// Draws the icons that the model learns from: Fluent Emoji (MIT, Microsoft), flat style, as 512x512 PNG with alpha, those of
// names.txt also at 1024x1024 and as Noto Emoji (Apache-2.0, Google) draws them, and lists them with the matching 3D pictures
// and the words for them. Usage, in the data folder: node render.mjs [first]
// The renderer may abort the process on a malformed icon, so a child draws and the parent goes on after the one that failed.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(path.join(process.cwd(), 'package.json'));
const icons = require('@iconify-json/fluent-emoji-flat/icons.json');
const noto = require('@iconify-json/noto/icons.json');
const skinTone = /-(medium-light|medium-dark|medium|dark|(?<!traffic-)light)(-|$)|^flag-/;
const ids = Object.keys(icons.icons)
  .filter((id) => !skinTone.test(id))
  .sort();
const progressFile = 'rendered.txt';
const known = new Set(
  fs
    .readFileSync(new URL('names.txt', import.meta.url), 'utf8')
    .split('\n')
    .map((line) => line.split('|')[0]?.trim()),
);

/** One icon of a set as an SVG document; a name that stands for another is followed. */
function drawing(set, id) {
  const icon = set.icons[id] ?? set.icons[set.aliases?.[id]?.parent];
  const width = icon.width ?? set.width ?? 16;
  const height = icon.height ?? set.height ?? 16;
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 ${width} ${height}" width="512" height="512">${icon.body}</svg>`;
}

/** Draws ids[first...]; the index of the icon in hand is on disk before it is drawn. */
function draw(first) {
  const { Resvg } = require('@resvg/resvg-js');
  for (const folder of ['flat', 'large', 'cartoon']) fs.mkdirSync(folder, { recursive: true });
  for (let i = first; i < ids.length; i++) {
    const id = ids[i];
    if (id === undefined) continue;
    const files = [{ path: `flat/${id}.png`, side: 512, from: icons }];
    if (known.has(id)) {
      files.push({ path: `large/${id}.png`, side: 1024, from: icons });
      files.push({ path: `cartoon/${id}.png`, side: 512, from: noto });
    }
    const missing = files.filter((file) => !fs.existsSync(file.path));
    if (missing.length === 0) continue;
    fs.writeFileSync(progressFile, String(i));
    for (const { path: file, side, from } of missing) {
      const size = { fitTo: { mode: 'width', value: side } };
      fs.writeFileSync(file, new Resvg(drawing(from, id), size).render().asPng());
    }
  }
  fs.writeFileSync(progressFile, 'done');
}

/** The 3D picture of each icon, found through the emoji's code points; null where the package has none. */
function solidPictures() {
  const folder = path.join(
    path.dirname(require.resolve('@lobehub/fluent-emoji-3d/package.json')),
    'assets',
  );
  const files = new Set(fs.readdirSync(folder));
  const drawn = new Set(ids);
  const found = {};
  for (const [emoji, [slug]] of Object.entries(require('emojilib/dist/emoji-en-US.json'))) {
    const name = slug.replaceAll('_', '-').toLowerCase();
    const id = [name, name.replace(/-face$/, ''), `${name}-face`].find((candidate) =>
      drawn.has(candidate),
    );
    const points = [...emoji].map((character) =>
      character.codePointAt(0).toString(16).padStart(4, '0'),
    );
    const spellings = [points, points.filter((point) => point !== 'fe0f'), [...points, 'fe0f']].map(
      (p) => `${p.join('-')}.webp`,
    );
    const file = spellings.find((spelling) => files.has(spelling));
    if (id && file && !(id in found && name !== id))
      found[id] = path.relative('.', path.join(folder, file));
  }
  return found;
}

if (process.argv[2] !== undefined) {
  draw(Number(process.argv[2]));
} else {
  let next = 0;
  for (;;) {
    spawnSync(process.execPath, [fileURLToPath(import.meta.url), String(next)], {
      stdio: ['ignore', 'inherit', 'ignore'],
    });
    const reached = fs.readFileSync(progressFile, 'utf8');
    if (reached === 'done') break;
    next = Number(reached) + 1;
  }
  const solid = solidPictures();
  const list = ids
    .filter((id) => fs.existsSync(`flat/${id}.png`))
    .map((id) => ({ id, flat: `flat/${id}.png`, solid: solid[id] ?? null }));
  fs.writeFileSync('icons.json', JSON.stringify(list, null, 1));
  // Names and keywords of all emoji, for the tokenizer.
  const words = Object.values(require('emojilib/dist/emoji-en-US.json'));
  fs.writeFileSync('words.json', JSON.stringify(words.map(([name, ...others]) => [name, others])));
  console.log(
    `${list.length} icons, ${list.filter((icon) => icon.solid).length} of them also in 3D`,
  );
}
