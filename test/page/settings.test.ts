import { describe, expect, it } from 'vitest';
import {
  DEFAULT_SETTINGS,
  loadSettings,
  parseSettings,
  saveSettings,
} from '../../web/page/settings.ts';

function memoryStorage(): Pick<Storage, 'getItem' | 'setItem'> {
  const values = new Map<string, string>();
  return {
    getItem: (key) => values.get(key) ?? null,
    setItem: (key, value) => void values.set(key, value),
  };
}

const REFUSING = {
  getItem: () => {
    throw new DOMException('blocked', 'SecurityError');
  },
  setItem: () => {
    throw new DOMException('full', 'QuotaExceededError');
  },
};

describe('settings', () => {
  it('come back as they were saved, wrong numbers included', () => {
    const storage = memoryStorage();
    const value = {
      ...DEFAULT_SETTINGS,
      theme: 'dark' as const,
      form: { ...DEFAULT_SETTINGS.form, prompt: 'a <b>red</b> apple', steps: '12x' },
    };
    expect(saveSettings(value, storage)).toBe(true);
    expect(loadSettings(storage)).toEqual(value);
  });

  it.each([null, '', '{', '[]', '7', 'null', '"text"'])('%s: defaults', (text) => {
    expect(parseSettings(text)).toEqual(DEFAULT_SETTINGS);
  });

  it('lose only what is wrong', () => {
    const parsed = parseSettings(
      JSON.stringify({
        theme: 'neon',
        form: { prompt: 'kept', steps: 20, sampler: 'Removed sampler', scheduler: 'karras' },
      }),
    );
    expect(parsed.theme).toBe('system');
    expect(parsed.form).toMatchObject({
      prompt: 'kept',
      steps: '20',
      sampler: 'Euler',
      scheduler: 'karras',
    });
  });

  it('do without storage that is missing, blocked or full', () => {
    expect(loadSettings(null)).toEqual(DEFAULT_SETTINGS);
    expect(saveSettings(DEFAULT_SETTINGS, null)).toBe(false);
    expect(loadSettings(REFUSING)).toEqual(DEFAULT_SETTINGS);
    expect(saveSettings(DEFAULT_SETTINGS, REFUSING)).toBe(false);
  });
});
