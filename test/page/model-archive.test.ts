import { describe, expect, it } from 'vitest';
import { GenerationError } from '../../protocol/errors.ts';
import { exportCompiled, importCompiled, type SaveBrowser } from '../../web/page/model-archive.ts';
import { allowFilesAgain, readLockedFiles } from '../../web/page/model-files.ts';
import { createAppState } from '../../web/page/state.ts';
import type { CompiledInfo, ExportedModel } from '../../web/shared/engine.ts';
import { FakeEngine } from '../fakes/fake-engine.ts';

const MODEL: CompiledInfo = {
  ...{ key: 'k1', name: 'dreamshaper_8', family: 'sd1', precision: 'fp16', sizeBytes: 2e9 },
  ...{ createdAt: 1, lastUsedAt: 2, isInUse: false, isExportable: true },
};

function setUp() {
  const engine = new FakeEngine();
  const state = createAppState();
  return { engine, state, context: { engine, state } };
}

/** A browser whose person chooses a place, or closes the dialog. */
function saving({ closes = false, hasPicker = true } = {}) {
  const written: Uint8Array[] = [];
  const downloads: ExportedModel[] = [];
  const asked: string[] = [];
  const browser: SaveBrowser = {
    pick: hasPicker
      ? async ({ suggestedName }) => {
          asked.push(suggestedName);
          if (closes) throw new DOMException('closed', 'AbortError');
          return {
            createWritable: async () =>
              new WritableStream<Uint8Array>({ write: (piece) => void written.push(piece) }),
          };
        }
      : undefined,
    download: (exported) => downloads.push(exported),
  };
  return { browser, written, downloads, asked };
}

describe('exporting a compiled model', () => {
  it('streams into the place that a person chooses', async () => {
    const { context, engine, state } = setUp();
    const { browser, written, downloads, asked } = saving();
    await exportCompiled(context, MODEL, browser);
    expect(asked).toEqual(['dreamshaper_8-fp16.easel']);
    expect(engine.calls).toEqual(['export k1']);
    expect(Buffer.concat(written).toString()).toBe('wholefile');
    expect(downloads).toEqual([]);
    expect(state.compiled.busy.value).toBeNull();
    expect(state.compiled.notes.value).toEqual([expect.stringContaining('dreamshaper_8')]);
  });

  it('is a download where the browser has no such dialog', async () => {
    const { context } = setUp();
    const { browser, downloads } = saving({ hasPicker: false });
    await exportCompiled(context, MODEL, browser);
    expect(downloads.map(({ fileName }) => fileName)).toEqual(['k1.easel']);
  });

  it('does nothing when the dialog is closed, and no problem is shown', async () => {
    const { context, engine, state } = setUp();
    await exportCompiled(context, MODEL, saving({ closes: true }).browser);
    expect(engine.calls).toEqual([]);
    expect(state.compiled.problem.value).toBeNull();
    expect(state.compiled.busy.value).toBeNull();
  });

  it('that fails says why', async () => {
    const { context, engine, state } = setUp();
    engine.failure = new GenerationError('invalid-model', 'damaged');
    await exportCompiled(context, MODEL, saving().browser);
    expect(state.compiled.problem.value).toMatchObject({ message: 'damaged' });
  });
});

describe('importing a compiled model', () => {
  it('lists it and passes on what there is to say', async () => {
    const { context, engine, state } = setUp();
    await importCompiled(context, new Blob(['1234']));
    expect(engine.calls).toEqual(['import 4']);
    expect(state.compiled.notes.value).toEqual([expect.stringContaining('imported'), 'a note']);
    expect(state.compiled.models.value).toEqual([]);
  });

  it('that fails says why', async () => {
    const { context, engine, state } = setUp();
    engine.failure = new GenerationError('unsupported', 'another compiler');
    await importCompiled(context, new Blob(['1234']));
    expect(state.compiled.problem.value).toMatchObject({ message: 'another compiler' });
    expect(state.compiled.notes.value).toEqual([]);
  });
});

describe('files that the browser locked at a reload', () => {
  it('are allowed again all at once, on a click', async () => {
    const { context, engine, state } = setUp();
    const asked: string[] = [];
    const handle = (name: string) =>
      ({
        async requestPermission({ mode }: { mode: string }) {
          asked.push(`${name} ${mode}`);
          engine.locked = [];
          return 'granted';
        },
      }) as unknown as FileSystemFileHandle;
    engine.locked = [
      { kind: 'checkpoint', name: 'a', handles: [handle('a1'), handle('a2')] },
      { kind: 'lora', name: 'b', handles: [handle('b')] },
    ];
    await readLockedFiles(context);
    expect(state.modelFiles.locked.value.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(asked).toEqual([]);
    await allowFilesAgain(context);
    expect(asked).toEqual(['a1 read', 'a2 read', 'b read']);
    expect(engine.calls).toEqual(['refresh']);
    expect(state.modelFiles.locked.value).toEqual([]);
  });
});
