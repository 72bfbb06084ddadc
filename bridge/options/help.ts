import { EASEL_VERSION } from '../../protocol/version.ts';
import { FLAG_GROUPS, FLAGS, type FlagInfo } from './flag-table.ts';

const COLUMN = 36;

function line(flag: FlagInfo): string {
  const [printed, ...aliases] = flag.names;
  const value =
    flag.value === undefined
      ? ''
      : flag.kind === 'optional'
        ? ` [${flag.value}]`
        : ` ${flag.value}`;
  const left = `  --${printed}${value}`;
  const notes = [
    flag.help,
    aliases.length > 0 ? `also ${aliases.map((name) => `--${name}`).join(', ')}` : '',
    flag.kind === 'list' ? 'may be repeated' : '',
  ].filter((note) => note !== '');
  const shown = flag.shown === undefined ? '' : ` [${flag.shown}]`;
  const gap =
    left.length >= COLUMN - 1 ? `\n${' '.repeat(COLUMN)}` : ' '.repeat(COLUMN - left.length);
  return `${left}${gap}${notes.join('; ')}${shown}`;
}

/** The text of `--help`: every flag by group, with its default in brackets. */
export function helpText(): string {
  const groups = FLAG_GROUPS.map((group) => {
    const flags = FLAGS.filter((flag) => flag.group === group);
    return `${group}\n${flags.map(line).join('\n')}`;
  });
  return [
    `Easel ${EASEL_VERSION}: a Stable Diffusion server whose engine is a browser tab.`,
    'npm start -- [flags]      `-` and `_` are the same in a flag; --flag=value is accepted.',
    ...groups,
  ].join('\n\n');
}
