import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findJsonProblem } from '../../../bridge/a1111/json-problem.ts';

describe('findJsonProblem', () => {
  // As Python 3's json.loads tells them.
  it.each([
    ['', 'Expecting value', 0],
    ['{', 'Expecting property name enclosed in double quotes', 1],
    ['{"a": }', 'Expecting value', 6],
    ['{"a" 1}', "Expecting ':' delimiter", 5],
    ['{"a": 1 "b"}', "Expecting ',' delimiter", 8],
    ['{"a": 1} x', 'Extra data', 9],
    ['{"a": 1]', "Expecting ',' delimiter", 7],
    ['[1,]', 'Expecting value', 3],
    ["{'a': 1}", 'Expecting property name enclosed in double quotes', 1],
    ['{"a": "x', 'Unterminated string starting at', 6],
    ['nul', 'Expecting value', 0],
    ['[[[', 'Expecting value', 3],
  ])('%j', (text, msg, pos) => {
    expect(findJsonProblem(text)).toEqual({ msg, pos });
  });

  it('ends on every text that is no JSON, with an offset inside it', () => {
    const piece = fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"', '1', 'true', ' ', '\\');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const text = pieces.join('');
        try {
          JSON.parse(text);
        } catch {
          const { pos } = findJsonProblem(text);
          expect(pos).toBeLessThanOrEqual(text.length);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('is quick on a long text and does not mind depth', () => {
    const text = '['.repeat(1_000_000);
    expect(findJsonProblem(text).pos).toBe(1_000_000);
  });
});
