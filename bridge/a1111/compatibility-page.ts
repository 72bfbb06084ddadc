import { FIELDS } from './fields.ts';
import { OPERATIONS } from './operations.ts';
import { OPTIONS } from './option-table.ts';

/** Where an answer differs from A1111 v1.10.1, and why. */
const DIFFERENCES: readonly (readonly [string, string, string])[] = [
  ['Unknown key in `override_settings`', '500', 'ignored'],
  ['Unknown always-on script', '422', 'ignored, and mentioned in the reply'],
  ['Unknown sampler or scheduler', 'replaced in silence', 'replaced, and said so in the reply'],
  [
    'Sampler alias, lower case, SHARK’s and diffusers’ names',
    'unknown, so DPM++ 2M',
    'the sampler meant',
  ],
  ['Unknown checkpoint in `override_settings`', 'ignored in silence', 'ignored, and said so'],
  ['Unknown checkpoint posted to options', '500', '422, with the same words'],
  ['Unknown key posted to options', '500', 'ignored'],
  ['Value of the wrong type or outside its choices posted to options', 'kept', '422'],
  ['Paths posted to options (`outdir_…`)', 'written', 'ignored'],
  ['Picture that cannot be decoded', '500 `Invalid encoded image`', '422, with the same words'],
  ['More init images than `batch_size`', '500', '422, with the same words'],
  ['Address in `init_images`', 'downloaded', '422: the bridge opens no connection'],
  ['GIF, animation', 'read', '422'],
  ['Picture above 4096 pixels a side', 'decoded', '422, from its header alone'],
  ['Form or multipart body', '422', '415'],
  ['Untyped or `text/plain` body', '422 for text/plain', 'read as JSON; 415 with an Origin header'],
  [
    'ControlNet unit whose module or model is not there',
    'a picture without it',
    '422 with what there is',
  ],
  ['Unknown checkpoint as refiner or for hires fix', '500', '422, with the same words'],
  ['No engine', '–', '503 with a sentence and Retry-After'],
  ['Queue full', 'never', '503 with a sentence and Retry-After'],
  [
    'Grid as the first picture (`save_images`)',
    'yes, for several pictures',
    'never; it is saved as a file all the same',
  ],
  [
    '`null` for `width`, `height`, `steps` and other fields',
    'null is used, and fails',
    'the default',
  ],
  ['`denoising_strength` missing with `enable_hr`', '500', '0.75'],
  ['Progress of a job with hires fix', 'each pass’s share of steps', 'the share of the whole job'],
  [
    'Outpainting scripts in several directions',
    'one after the other, a job each',
    'one job on the whole canvas, which has to fit the device',
  ],
  ['Picture of a script that fails', 'blank in the grid', 'blank, and the reply says why'],
  ['X/Y/Z plot above 256 pictures or 40 megapixels', 'made, up to 200 megapixels', '422'],
  ['Sidecars `imgs_details.csv` and JSON', '–', 'with `--save-metadata-to-json`, as SHARK'],
  ['gzip of replies', 'above 1000 bytes', 'never: pictures are compressed already'],
  [
    'Client gone while its job waits',
    'the job is made',
    'dropped; made with a key (`X-Request-Id`) or `--finish-orphans`',
  ],
  [
    'Client gone while its job runs',
    'the job is made',
    'ended with what exists; made with a key or `--finish-orphans`, and can be fetched',
  ],
];

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const rule = head.map(() => '---');
  return [head, rule, ...rows].map(line).join('\n');
}

function code(text: string): string {
  return `\`${text}\``;
}

const ROUTE_NAMES = { both: 'both', txt2img: 'txt2img', img2img: 'img2img' } as const;

/** docs/a1111-compatibility.md, from the very tables that the routes work by. */
export function compatibilityPage(): string {
  const routes = OPERATIONS.map(({ method, path, summary, response, isPartial }) => [
    code(`${method} ${path}`),
    response ? (isPartial ? 'in part' : 'works') : '501',
    summary,
  ]);
  const fields = FIELDS.map(({ name, route, status, about }) => [
    code(name),
    ROUTE_NAMES[route],
    status,
    about,
  ]);
  const options = OPTIONS.map(({ key, default: value, status, about }) => [
    code(key),
    code(JSON.stringify(value)),
    status,
    about,
  ]);
  return `# Compatibility with AUTOMATIC1111

Easel answers the API of AUTOMATIC1111's stable-diffusion-webui (A1111) v1.10.1. This page is generated from the tables
that the routes work by: \`node tools/a1111-compatibility.mjs\` writes it, and a test compares.

*works*: as in A1111, with what differs beside it. *no effect*: accepted and echoed; where a request asks for something,
the reply says so in \`info\` under \`extra_generation_params\`. *refused*: answered with an error.

## Routes

${table(['Route', 'Status', 'What it does'], routes)}

## Fields of txt2img and img2img

Fields that are not in this table are ignored, as in A1111.

${table(['Field', 'Route', 'Status', 'What differs'], fields)}

## Options and \`override_settings\`

Every key below is served by \`GET /sdapi/v1/options\`, kept across restarts when posted (except *read only*), and may be
overridden by a request.

${table(['Option', 'Default', 'Status', 'What differs'], options)}

## Answers that differ

${table(['Case', 'A1111', 'Easel'], DIFFERENCES)}

## Beyond A1111

* \`X-Easel-Job\` on every generation reply names its job; \`X-Request-Id\` of the request is kept as the client's own key.
  Both fetch the result again for a day.
* \`GET /easel/v1/jobs/{id}\`, \`/easel/v1/jobs/last\` and \`/easel/v1/jobs?key=…\` answer with a job's pictures, infotexts and seeds.
* \`GET /easel/v1/events\` sends what happens to jobs as server-sent events named \`job-progress\`, \`job-preview\`,
  \`job-image\`, \`job-finished\` and \`job-failed\`; with \`?job=ID\` those of one job, until it ends.
* \`X-Easel-Keep-Alive: 15\` on a generation request sends a space every 15 seconds (1 to 300) until the reply is
  ready. The status is then 200 whatever comes; an error is told by the body.
* Fields in text, fractions where whole numbers are meant, \`null\` and \`""\` are read as A1111's own validation does, or as
  the default.
`;
}
