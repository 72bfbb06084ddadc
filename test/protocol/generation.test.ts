import { expect, it } from 'vitest';
import { generationParams, withoutPictures } from '../../protocol/generation.ts';

it('a job that is over keeps no picture that came along, and can be read again', () => {
  const params = generationParams.parse({
    ...{ mode: 'img2img', prompt: 'a', initImages: ['picture'] },
    hires: { firstPassImage: 'picture', steps: 7 },
    controls: [{ model: 'canny', image: 'picture', mask: 'picture', weight: 0.5 }],
  });
  const kept = withoutPictures(params);
  expect(JSON.stringify(kept)).not.toContain('picture');
  expect(kept).toMatchObject({ prompt: 'a', hires: { steps: 7 }, controls: [{ weight: 0.5 }] });
  expect(generationParams.parse(JSON.parse(JSON.stringify(kept)))).toEqual(kept);
  expect(withoutPictures(generationParams.parse({})).hires).toBeNull();
});
