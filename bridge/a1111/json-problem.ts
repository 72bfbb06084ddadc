/** Where and why a text is no JSON, in the words of Python's parser. */
export interface JsonProblem {
  readonly msg: string;
  /** Offset of the first character that cannot stand there. */
  readonly pos: number;
}

type Expected = 'value' | 'value-or-end' | 'key' | 'key-or-end' | 'colon' | 'comma' | 'nothing';

const COMPLAINTS: Readonly<Record<Expected, string>> = {
  value: 'Expecting value',
  'value-or-end': 'Expecting value',
  key: 'Expecting property name enclosed in double quotes',
  'key-or-end': 'Expecting property name enclosed in double quotes',
  colon: "Expecting ':' delimiter",
  comma: "Expecting ',' delimiter",
  nothing: 'Extra data',
};

const SPACE = /[ \t\n\r]*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids just these in strings
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SCALAR = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;

function matchAt(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0].length ?? 0;
}

/** The first problem of a text that `JSON.parse` refused. Takes no recursion, so depth does not matter. */
export function findJsonProblem(text: string): JsonProblem {
  const open: ('{' | '[')[] = [];
  let expected: Expected = 'value';
  let at = 0;
  const afterValue = (): Expected => (open.length === 0 ? 'nothing' : 'comma');
  for (;;) {
    at += matchAt(SPACE, text, at);
    const char = text[at];
    const isValue: boolean = expected === 'value' || expected === 'value-or-end';
    const isKey: boolean = expected === 'key' || expected === 'key-or-end';
    const closes =
      (char === '}' &&
        open.at(-1) === '{' &&
        (expected === 'key-or-end' || expected === 'comma')) ||
      (char === ']' &&
        open.at(-1) === '[' &&
        (expected === 'value-or-end' || expected === 'comma'));
    if (closes) {
      open.pop();
      expected = afterValue();
      at += 1;
    } else if (char === '"' && (isValue || isKey)) {
      const length = matchAt(STRING, text, at);
      if (length === 0) return { msg: 'Unterminated string starting at', pos: at };
      expected = isKey ? 'colon' : afterValue();
      at += length;
    } else if ((char === '{' || char === '[') && isValue) {
      open.push(char);
      expected = char === '{' ? 'key-or-end' : 'value-or-end';
      at += 1;
    } else if (char === ':' && expected === 'colon') {
      expected = 'value';
      at += 1;
    } else if (char === ',' && expected === 'comma') {
      expected = open.at(-1) === '{' ? 'key' : 'value';
      at += 1;
    } else {
      const length = isValue ? matchAt(SCALAR, text, at) : 0;
      if (length === 0) return { msg: COMPLAINTS[expected], pos: at };
      expected = afterValue();
      at += length;
    }
  }
}
