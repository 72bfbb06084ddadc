import { describe, expect, test } from 'vitest';
import { cleanText, unescapeHtml } from '../../../web/engine/prompt/clean-text.ts';

// What ftfy 6.3.1 makes of each.
describe('cleaning', () => {
  test.each([
    ['curly quotes', 'photo’s “x” ‘y’', "photo's \"x\" 'y'"],
    ['ligatures', 'oﬃce ﬂoor ǆ ĳ', 'office floor dž ij'],
    ['other widths', 'Ａ１　ﾊﾝｶｸ', 'A1 ハンカク'],
    ['line breaks', 'a\r\nb\rc\u2028d\u2029e', 'a\nb\nc\nd\ne'],
    ['control characters', 'a\x00\x07\x7f\ufeff\u206ab', 'ab'],
    ['joiners stay', '👩\u200d👧 a\u200bb', '👩\u200d👧 a\u200bb'],
    ['terminal colours', 'a\x1b[31;1mred\x1b[0m', 'ared'],
    ['C1 controls', 'wait\x85 \x93x\x94', 'wait… "x"'],
    ['composition', 'e\u0301cole', 'école'],
    ['lone surrogates', 'a\ud83d b', 'a\ufffd b'],
    ['entities', '&amp;amp; &eacute; &EACUTE; &#39;&#x27; &copy;', "& é É '' ©"],
    ['an entity without semicolon', 'this&not that&copy', 'this&not that&copy'],
    ['entities beside a tag', '<b>&amp;</b>', '<b>&amp;</b>'],
    ['entities on lines before a tag', '&amp;\n<b>&amp;\n&amp;', '&\n<b>&amp;\n&amp;'],
    ['garbled text', 'schÃ¶n itâ€™s Ã‰cole â€¢ 90Â° ÐºÐ¾Ñ‚', "schön it's École • 90° кот"],
    ['garbled text beside sound text', '“schÃ¶n” 雪 itâ€™s', '"schön" 雪 it\'s'],
    ['twice garbled text', 'schÃƒÂ¶n', 'schön'],
    ['garbled emoji', 'ðŸ˜€ 雪', '😀 雪'],
  ])('%s', (_, text, cleaned) => {
    expect(cleanText(text)).toBe(cleaned);
  });

  test.each([
    'café™…',
    'IRMÃ DA',
    'É™',
    'â"¢',
    'Ângela',
    'ÅÄÖ é°',
    'naïve façade señor',
    '雪の街',
    'C’est l’été',
  ])('leaves the letters of “%s”', (text) => {
    expect(cleanText(text)).toBe(text.replaceAll('’', "'"));
  });

  test('a quoted word at a sentence’s end is no garbled text', () => {
    expect(cleanText('“Un café”…')).toBe('"Un café"…');
  });
});

// What Python's html.unescape makes of each.
test.each([
  ['&amp &ampx &lt;b&gt; &notit; &copy', '& &x <b> ¬it; ©'],
  ['&#39; &#x27 &#128; &#0; &#xD800; &#1; &#x110000;', "' ' € \ufffd \ufffd  \ufffd"],
  ['&unknown; &; &# &#x; &hearts;', '&unknown; &; &# &#x; ♥'],
])('HTML: %s', (text, unescaped) => {
  expect(unescapeHtml(text)).toBe(unescaped);
});
