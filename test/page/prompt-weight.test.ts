import { describe, expect, it } from 'vitest';
import { changeWeight } from '../../web/page/prompt-weight.ts';

/** `[` and `]` mark the selection, `|` a caret. */
function parse(marked: string) {
  const caret = marked.indexOf('|');
  if (caret >= 0) return { text: marked.replace('|', ''), start: caret, end: caret };
  const start = marked.indexOf('[');
  const end = marked.indexOf(']') - 1;
  return { text: marked.replace(/[[\]]/g, ''), start, end };
}

function show(selection: ReturnType<typeof changeWeight>): string | null {
  if (!selection) return null;
  const { text, start, end } = selection;
  return `${text.slice(0, start)}[${text.slice(start, end)}]${text.slice(end)}`;
}

const up = (marked: string) => show(changeWeight(parse(marked), 1));
const down = (marked: string) => show(changeWeight(parse(marked), -1));

describe('changeWeight', () => {
  it('weighs the selected words, without the blanks around them', () => {
    expect(up('a [red apple] on wood')).toBe('a ([red apple]:1.1) on wood');
    expect(down('a[ red ]apple')).toBe('a ([red]:0.9) apple');
  });

  it('weighs the word under the caret', () => {
    expect(up('a r|ed apple')).toBe('a ([red]:1.1) apple');
    expect(up('|red, apple')).toBe('([red]:1.1), apple');
    expect(up('rouge-gorge| vif')).toBe('([rouge-gorge]:1.1) vif');
    expect(up('grüner Baum|')).toBe('grüner ([Baum]:1.1)');
  });

  it('changes the weight that is there, and takes the brackets away at 1', () => {
    expect(up('a ([red]:1.1) apple')).toBe('a ([red]:1.2) apple');
    expect(up('a (re|d:1.25) apple')).toBe('a ([red]:1.35) apple');
    expect(down('a ([red]:1.1) apple')).toBe('a [red] apple');
    expect(up('a ([red]:0.9) apple')).toBe('a [red] apple');
  });

  it('is undone by the other direction, a hundred steps away', () => {
    let selection = parse('a [red] apple');
    for (let i = 0; i < 100; i++) selection = changeWeight(selection, 1) ?? selection;
    expect(selection.text).toBe('a (red:11) apple');
    for (let i = 0; i < 100; i++) selection = changeWeight(selection, -1) ?? selection;
    expect(selection.text).toBe('a red apple');
  });

  it('counts plain brackets as 1.1', () => {
    expect(up('a (r|ed) apple')).toBe('a ([red]:1.2) apple');
    expect(down('a (r|ed) apple')).toBe('a [red] apple');
  });

  it('takes the innermost brackets and leaves escaped ones alone', () => {
    expect(up('((r|ed:1.2) apple:1.1)')).toBe('(([red]:1.3) apple:1.1)');
    expect(up('((red:1.2) app|le:1.1)')).toBe('([(red:1.2) apple]:1.2)');
    expect(up('smile \\(a r|ed one\\)')).toBe('smile \\(a ([red]:1.1) one\\)');
  });

  it('changes LoRA strengths in their own steps', () => {
    expect(up('<lora:ink|:0.8> fox')).toBe('<lora:ink[]:0.85> fox');
    expect(down('<lora:ink:1|> fox')).toBe('<lora:ink:0[].95> fox');
    expect(up('<lora:in|k> fox')).toBe(null);
  });

  it('does nothing where there is no word', () => {
    expect(up('|')).toBe(null);
    expect(up('a, | ,b')).toBe(null);
  });

  it('survives brackets that are never closed', () => {
    expect(up('(red ap|ple')).toBe('(red ([apple]:1.1)');
  });
});
