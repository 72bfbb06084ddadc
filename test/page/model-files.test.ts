import { describe, expect, it } from 'vitest';
import { GenerationError } from '../../protocol/errors.ts';
import type { ActionContext } from '../../web/page/actions.ts';
import { createGalleryStore } from '../../web/page/gallery-store.ts';
import {
  addModelFiles,
  chosenFiles,
  droppedFiles,
  forgetModelFiles,
} from '../../web/page/model-files.ts';
import { createAppState } from '../../web/page/state.ts';
import { FakeEngine } from '../fakes/fake-engine.ts';
import { mapShelves } from '../fakes/map-shelves.ts';

function setUp() {
  const engine = new FakeEngine();
  const state = createAppState();
  const context: ActionContext = {
    ...{ engine, state, galleryStore: createGalleryStore(mapShelves()) },
    makeThumb: async () => null,
  };
  return { engine, state, context };
}

const file = (name: string, webkitRelativePath = '') =>
  Object.assign(new File(['x'], name), { webkitRelativePath });

describe('model files on the page', () => {
  it('are added and the first is loaded, so that it is compiled at once', async () => {
    const { engine, state, context } = setUp();
    const chosen = chosenFiles([file('a.safetensors'), file('readme.md')]);
    await addModelFiles(context, async () => chosen);
    expect(engine.calls).toEqual(['add a.safetensors', 'load added']);
    expect(state.form.checkpoint.value).toBe('added');
    expect(state.modelFiles.isReading.value).toBe(false);
  });

  it('of other kinds are told, and nothing is loaded', async () => {
    const { engine, state, context } = setUp();
    engine.added = [{ kind: 'lora', name: 'style' }];
    await addModelFiles(context, async () => chosenFiles([file('style.safetensors')]));
    expect(engine.calls).toEqual(['add style.safetensors']);
    expect(state.modelFiles.added.value).toEqual([{ kind: 'lora', name: 'style' }]);
    expect(state.form.checkpoint.value).toBe('');
    await forgetModelFiles(context, { kind: 'lora', name: 'style' });
    expect(engine.calls.at(-1)).toBe('forget lora style');
  });

  it('that are no model are refused where they were added', async () => {
    const { engine, state, context } = setUp();
    engine.failure = new GenerationError('invalid-model', 'b.safetensors is cut off.');
    await addModelFiles(context, async () => chosenFiles([file('b.safetensors')]));
    expect(state.modelFiles.problem.value?.message).toBe('b.safetensors is cut off.');
    expect(state.form.checkpoint.value).toBe('');
    await forgetModelFiles(context, { kind: 'checkpoint', name: 'b' });
    expect(engine.calls.at(-1)).toBe('forget checkpoint b');
  });

  it('of a folder keep their paths', () => {
    const chosen = chosenFiles([file('config.json', 'model/unet/config.json')]);
    expect(chosen.map(({ path }) => path)).toEqual(['model/unet/config.json']);
  });
});

type Tree = { readonly [name: string]: Tree | null };

function handle(name: string, tree: Tree | null): object {
  if (tree === null) return { kind: 'file', name, getFile: async () => file(name) };
  return {
    ...{ kind: 'directory', name },
    async *values() {
      for (const [child, below] of Object.entries(tree)) yield handle(child, below);
    },
  };
}

function entry(name: string, tree: Tree | null): object {
  if (tree === null) {
    return { isFile: true, name, file: (done: (found: File) => void) => done(file(name)) };
  }
  const children = Object.entries(tree).map(([child, below]) => entry(child, below));
  return {
    ...{ isFile: false, name },
    createReader: () => ({
      // One at a time, as a browser gives them in pieces.
      readEntries: (done: (some: object[]) => void) => done(children.splice(0, 1)),
    }),
  };
}

describe('dropped files', () => {
  const tree: Tree = {
    'model_index.json': null,
    unet: { 'config.json': null, 'w.safetensors': null, 'picture.png': null },
    a: { b: { c: { d: { e: { 'deep.json': null } } } } },
  };
  const paths = ['m/model_index.json', 'm/unet/config.json', 'm/unet/w.safetensors'];
  const drop = (item: object) => droppedFiles({ items: [item] } as unknown as DataTransfer)();

  it('are found below folders with handles, where the browser has those', async () => {
    const found = await drop({
      kind: 'file',
      getAsFileSystemHandle: async () => handle('m', tree),
    });
    expect(found.map(({ path }) => path)).toEqual(paths);
    expect(found.every((each) => each.handle !== undefined)).toBe(true);
  });

  it('are found below folders without', async () => {
    const found = await drop({ kind: 'file', webkitGetAsEntry: () => entry('m', tree) });
    expect(found.map(({ path }) => path)).toEqual(paths);
    expect(found.every((each) => each.handle === undefined)).toBe(true);
  });

  it('are none when text is dropped', async () => {
    expect(await drop({ kind: 'string' })).toEqual([]);
  });
});
