import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readLink, writeLink } from '../../web/page/deep-link.ts';

const BASE = 'https://me.github.io/easel/';
const fragmentOf = (address: string) => new URL(address).hash;

describe('links', () => {
  it('name a view', () => {
    expect(readLink('#gallery')).toEqual({ view: 'gallery', form: {} });
    expect(readLink('')).toEqual({ view: 'create', form: {} });
    expect(readLink('#nonsense')).toEqual({ view: 'create', form: {} });
  });

  it('carry settings, and nothing of them outside the fragment', () => {
    const form = { prompt: 'a red apple & #1?\nnew line', seed: '7', sampler: 'Euler a' } as const;
    const address = writeLink(BASE, form);
    expect(new URL(address).search).toBe('');
    expect(readLink(fragmentOf(address))).toEqual({ view: 'create', form });
  });

  it('pass over what this version does not know', () => {
    expect(readLink('#create?sampler=Future&steps=9&color=red').form).toEqual({ steps: '9' });
    expect(readLink(`#create?steps=${'9'.repeat(50)}`).form).toEqual({});
  });

  it('bring back any prompt', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (prompt) => {
        expect(readLink(fragmentOf(writeLink(BASE, { prompt }))).form.prompt).toBe(prompt);
      }),
    );
  });
});
