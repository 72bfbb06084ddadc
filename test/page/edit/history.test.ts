import { describe, expect, it } from 'vitest';
import { type Change, History } from '../../../web/page/edit/history.ts';

/** A number that changes, each change holding on to so many bytes. */
function counter(bytes = 10) {
  const state = { value: 0 };
  const setTo = (value: number): Change => {
    const before = state.value;
    state.value = value;
    return {
      bytes,
      undo() {
        state.value = before;
      },
      redo() {
        state.value = value;
      },
    };
  };
  return { state, setTo };
}

describe('History', () => {
  it('goes back and forth in order', () => {
    const history = new History(1000);
    const { state, setTo } = counter();
    for (const value of [1, 2, 3]) history.push(setTo(value));
    expect(history.undo()).toBe(true);
    expect(history.undo()).toBe(true);
    expect(state.value).toBe(1);
    expect([history.canUndo, history.canRedo]).toEqual([true, true]);
    history.redo();
    expect(state.value).toBe(2);
    history.undo();
    history.undo();
    expect(state.value).toBe(0);
    expect(history.undo()).toBe(false);
  });

  it('forgets what was taken back once something else is done', () => {
    const history = new History(1000);
    const { state, setTo } = counter();
    history.push(setTo(1));
    history.undo();
    history.push(setTo(5));
    expect(history.canRedo).toBe(false);
    expect(history.redo()).toBe(false);
    expect(state.value).toBe(5);
  });

  it('forgets the oldest when all hold too much, and keeps the newest however large it is', () => {
    const history = new History(25);
    const { state, setTo } = counter();
    for (const value of [1, 2, 3]) history.push(setTo(value));
    while (history.undo());
    expect(state.value).toBe(1);
    const huge = new History(5);
    huge.push(setTo(9));
    expect(huge.canUndo).toBe(true);
  });
});
