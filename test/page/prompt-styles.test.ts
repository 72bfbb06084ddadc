import { describe, expect, it } from 'vitest';
import { FORM_DEFAULTS } from '../../web/page/form.ts';
import {
  addStyle,
  createStylesState,
  fetchStyles,
  loadStyles,
  removeStyle,
  saveStyles,
  toggleStyle,
  withStyles,
} from '../../web/page/prompt-styles.ts';

const INK = { name: 'ink', prompt: 'ink drawing of {prompt}', negativePrompt: 'colour' };
const SOFT = { name: 'soft', prompt: 'soft light', negativePrompt: null };

function mapStorage() {
  const values = new Map<string, string>();
  return {
    getItem: (key: string) => values.get(key) ?? null,
    setItem: (key: string, value: string) => void values.set(key, value),
  };
}

describe('styles', () => {
  it('are put around and behind the prompts in the order in which they were chosen', () => {
    const styles = createStylesState();
    addStyle(styles, INK);
    addStyle(styles, SOFT);
    const form = { ...FORM_DEFAULTS, prompt: 'a fox', negativePrompt: 'blurry' };
    expect(withStyles(form, styles)).toEqual(form);
    toggleStyle(styles, 'soft');
    toggleStyle(styles, 'ink');
    expect(withStyles(form, styles)).toEqual({
      ...form,
      prompt: 'ink drawing of a fox, soft light',
      negativePrompt: 'blurry, colour',
    });
    toggleStyle(styles, 'soft');
    expect(withStyles(form, styles).prompt).toBe('ink drawing of a fox');
  });

  it("are the bridge's and this browser's, whose own win and can be deleted", async () => {
    const styles = createStylesState();
    await fetchStyles(styles, {
      get: async (_path, schema) =>
        schema.parse([
          { name: 'ink', prompt: 'woodcut', negative_prompt: null },
          { name: 'oil', prompt: 'oil painting', negative_prompt: 'photo' },
        ]),
    });
    addStyle(styles, INK);
    toggleStyle(styles, 'ink');
    expect(styles.all.value.map(({ name, prompt }) => [name, prompt])).toEqual([
      ['ink', 'ink drawing of {prompt}'],
      ['oil', 'oil painting'],
    ]);
    removeStyle(styles, 'ink');
    expect(styles.all.value[0]?.prompt).toBe('woodcut');
    expect(styles.chosen.value).toEqual(['ink']);
    addStyle(styles, SOFT);
    toggleStyle(styles, 'soft');
    removeStyle(styles, 'soft');
    expect(styles.chosen.value).toEqual(['ink']);
    await fetchStyles(styles, { get: () => Promise.reject(new Error('gone')) });
    expect(styles.shared.value).toHaveLength(2);
  });

  it('survive a reload; what makes no sense does not', () => {
    const storage = mapStorage();
    const before = createStylesState();
    addStyle(before, SOFT);
    toggleStyle(before, 'soft');
    expect(saveStyles(before, storage)).toBe(true);
    const after = createStylesState();
    loadStyles(after, storage);
    expect(after.own.value).toEqual([SOFT]);
    expect(after.chosen.value).toEqual(['soft']);
    for (const broken of ['{', '{"own":[{"name":5}],"chosen":["soft"]}', 'null']) {
      storage.setItem('easel.styles', broken);
      const fresh = createStylesState();
      loadStyles(fresh, storage);
      expect(fresh.own.value).toEqual([]);
    }
    expect(saveStyles(before, null)).toBe(false);
  });
});
