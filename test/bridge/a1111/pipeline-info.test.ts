import { describe, expect, it } from 'vitest';
import { parseInfotext } from '../../../protocol/infotext.ts';
import { settingOverrides } from '../../../protocol/setting-names.ts';
import { makePng } from './fake-services.ts';
import { createServer, readVectors } from './helpers.ts';

interface PipelineJob {
  name: string;
  kind: string;
  request: Record<string, unknown> & { height: number };
  infotexts?: string[];
  info?: string;
  error?: string;
}
const pipeline = readVectors<{ jobs: PipelineJob[]; styles: (string | null)[][] }>('pipeline.json');

const PNG = makePng(64, 64).toString('base64');
const styles = async () =>
  pipeline.styles.map(([name, prompt, negativePrompt]) => ({
    name: name ?? '',
    prompt: prompt ?? null,
    negativePrompt: negativePrompt ?? null,
  }));

/** Jobs without a switch that only A1111's page has. */
const jobs = pipeline.jobs.filter(({ name, request, error }) => {
  const isElsewhere = 'seed_enable_extras' in request;
  return !error && !isElsewhere && !/image cfg|unknown/.test(name);
});

/** What the toy network and A1111 itself put in. */
const OTHERS = ['sd_model_name', 'sd_model_hash', 'job_timestamp', 'version', 'infotexts'];

describe('info against A1111’s own', () => {
  it('has jobs to compare', () => {
    expect(jobs.length).toBeGreaterThan(110);
  });

  it.each(jobs)('$name', async ({ kind, request, info: text }) => {
    const expected = JSON.parse(text ?? '') as Record<string, unknown>;
    const images = 'images' in request ? [PNG, PNG] : [PNG];
    const body = {
      ...request,
      // Sizes below 64 are refused here; the vectors have one.
      ...(request.height < 64 ? { height: 64 } : {}),
      ...(kind === 'img2img' ? { init_images: images } : {}),
      ...('mask' in request ? { mask: PNG } : {}),
    };
    const { info } = await createServer({}, { styles }).generate(body, kind);
    for (const key of [...OTHERS, 'extra_generation_params', 'denoising_strength']) {
      delete expected[key];
    }
    if (request.height < 64) expected.height = 64;
    expect(info).toMatchObject(expected);
    if (kind === 'img2img') expect(info.denoising_strength).toBe(request.denoising_strength);
  });

  it.each(jobs)('schedule and strength among the extra parameters: $name', async (job) => {
    const { extra_generation_params: expected } = JSON.parse(job.info ?? '');
    const body = {
      ...job.request,
      height: 64,
      ...(job.kind === 'img2img' ? { init_images: [PNG] } : {}),
      ...('mask' in job.request ? { mask: PNG } : {}),
    };
    const { info } = await createServer({}, { styles }).generate(body, job.kind);
    for (const key of ['Schedule type', 'Denoising strength']) {
      expect(info.extra_generation_params[key], key).toBe(expected[key]);
    }
  });
});

describe('an infotext of A1111 as a request', () => {
  it.each(jobs.filter(({ kind }) => kind === 'txt2img'))(
    '$name',
    async ({ infotexts, request }) => {
      const infotext = infotexts?.[0] ?? '';
      const values = parseInfotext(infotext);
      const { params } = await createServer().generate({
        infotext,
        height: 64,
        override_settings: { sd_model_checkpoint: '' },
      });
      expect(params).toMatchObject({
        seed: request.seed,
        steps: request.steps,
        guidanceScale: request.cfg_scale,
        prompt: values.Prompt,
        negativePrompt: values['Negative prompt'],
      });
      const clipSkip = settingOverrides(values).find(({ label }) => label === 'Clip skip');
      expect(params.clipSkip).toBe(clipSkip?.value ?? 1);
    },
  );
});
