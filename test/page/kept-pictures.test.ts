import { describe, expect, it, vi } from 'vitest';
import {
  createPictureSlot,
  dropPicture,
  keepSlot,
  type PictureShelf,
  takePicture,
} from '../../web/page/kept-pictures.ts';
import { measureAs } from '../fakes/measure-picture.ts';

const measure = measureAs();
const png = (text = 'png') => new Blob([text], { type: 'image/png' });

function mapShelf(entries: Iterable<[string, unknown]> = []) {
  const kept = new Map(entries);
  const shelf: PictureShelf = {
    get: async (name) => kept.get(name),
    set: async (name, file) => void kept.set(name, file),
    delete: async (name) => void kept.delete(name),
  };
  return { kept, shelf };
}

describe('pictures of Create', () => {
  it('come back after a reload, until they are taken away', async () => {
    const { kept, shelf } = mapShelf();
    const before = createPictureSlot();
    await keepSlot(before, 'init', shelf, measure);
    await takePicture(before, png(), measure);
    await vi.waitFor(() => expect(kept.has('init')).toBe(true));

    const after = createPictureSlot();
    await keepSlot(after, 'init', shelf, measure);
    expect(after.picture.value).toMatchObject({ base64: 'cG5n', width: 8 });
    expect(after.isKept.value).toBe(true);
    dropPicture(after);
    await vi.waitFor(() => expect(kept.has('init')).toBe(false));
  });

  it('that are put there while the old one is read stay', async () => {
    const { kept, shelf } = mapShelf([['init', png('old')]]);
    const slot = createPictureSlot();
    const reading = keepSlot(slot, 'init', shelf, measure);
    await takePicture(slot, png('new'), measure);
    await reading;
    expect(await slot.picture.value?.file.text()).toBe('new');
    await vi.waitFor(async () => expect(await (kept.get('init') as Blob).text()).toBe('new'));
  });

  it('that cannot be read any more are left out, and what is no file too', async () => {
    const { shelf } = mapShelf([
      ['init', new Blob(['text'])],
      ['control0', 'no file'],
    ]);
    for (const name of ['init', 'control0', 'control1']) {
      const slot = createPictureSlot();
      await keepSlot(slot, name, shelf, measure);
      expect(slot.picture.value).toBeNull();
      expect(slot.problem.value).toBeNull();
    }
  });

  it('work where the browser refuses storage, and it is said that they go with the page', async () => {
    const refuse = async () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
    const shelf: PictureShelf = { get: refuse, set: refuse, delete: refuse };
    const slot = createPictureSlot();
    await keepSlot(slot, 'init', shelf, measure);
    expect(slot.isKept.value).toBe(true);
    await takePicture(slot, png(), measure);
    await vi.waitFor(() => expect(slot.isKept.value).toBe(false));
    expect(slot.picture.value?.base64).toBe('cG5n');
    dropPicture(slot);
    await vi.waitFor(() => expect(slot.isKept.value).toBe(true));
  });
});
