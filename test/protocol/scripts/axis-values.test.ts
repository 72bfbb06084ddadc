import { describe, expect, it } from 'vitest';
import {
  formatAxisValue,
  readAxisValues,
  readCsvFields,
  writeCsvFields,
} from '../../../protocol/scripts/axis-values.ts';

describe('readCsvFields', () => {
  it.each([
    ['1, 2 ,3', ['1', '2', '3']],
    ['', []],
    ['a,', ['a', '']],
    ['"a, b",c', ['a, b', 'c']],
    ['"say ""hi""",x', ['say "hi"', 'x']],
    // A quote that does not start its field is a letter.
    ['a, "b, c"', ['a', '"b', 'c"']],
    ['one\ntwo,three\r\n\nfour', ['one', 'two', 'three', 'four']],
    ['"over\ntwo lines",x', ['over\ntwo lines', 'x']],
    ['"open', ['open']],
  ])('%j', (text, fields) => {
    expect(readCsvFields(text)).toEqual(fields);
  });

  it('reads back what is written', () => {
    const fields = ['plain', 'with, comma', 'a "quote"', 'two\nlines'];
    expect(readCsvFields(writeCsvFields(fields))).toEqual(fields);
  });
});

describe('readAxisValues', () => {
  it.each([
    [
      ['3', '-1'],
      [3, -1],
    ],
    [['1-5'], [1, 2, 3, 4, 5]],
    [['1-5 (+2)'], [1, 3, 5]],
    [['10-5 (-3)'], [10, 7]],
    [['1-10 [5]'], [1, 3, 5, 7, 10]],
    [['0-100 [1]'], [0]],
    [['-3--1'], [-3, -2, -1]],
    [
      ['1-2', '7'],
      [1, 2, 7],
    ],
  ])('whole numbers %j', (entries, values) => {
    expect(readAxisValues(entries, 'integer')).toEqual(values);
  });

  it.each([
    [['0.5'], [0.5]],
    [['1-3'], [1, 2, 3]],
    [['0-1 (+0.25)'], [0, 0.25, 0.5, 0.75, 1]],
    [['0-1 [3]'], [0, 0.5, 1]],
    [['1-0 (-0.5)'], [1, 0.5, 0]],
  ])('numbers %j', (entries, values) => {
    expect(readAxisValues(entries, 'float')).toEqual(values);
  });

  it('gives every order, the given one first', () => {
    expect(readAxisValues(['a', 'b', 'c'], 'permutations')).toEqual([
      ['a', 'b', 'c'],
      ['a', 'c', 'b'],
      ['b', 'a', 'c'],
      ['b', 'c', 'a'],
      ['c', 'a', 'b'],
      ['c', 'b', 'a'],
    ]);
  });

  it.each([
    ['integer', '1.5'],
    ['integer', 'x'],
    ['integer', ''],
    ['float', 'NaN'],
    ['float', '1-2 (+0)'],
    ['integer', '1-1000000000'],
    ['float', '0-1 [100000]'],
  ] as const)('refuses %s %j', (kind, entry) => {
    expect(() => readAxisValues([entry], kind)).toThrow(/X\/Y\/Z plot/);
  });
});

describe('formatAxisValue', () => {
  it('prints floats with a point and at eight decimals', () => {
    expect(formatAxisValue(7, 'float')).toBe('7.0');
    expect(formatAxisValue(0.1 + 0.2, 'float')).toBe('0.3');
    expect(formatAxisValue(20, 'integer')).toBe('20');
    expect(formatAxisValue(['a', 'b'], 'permutations')).toBe('a, b');
  });
});
