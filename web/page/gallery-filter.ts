import { isOutput } from './outputs.ts';
import type { PictureInfo } from './picture.ts';

export const PERIODS = ['any', 'today', 'week', 'month', 'older'] as const;
export type Period = (typeof PERIODS)[number];

/** What the gallery shows; empty texts and `any` let everything through. */
export interface GalleryFilter {
  readonly query: string;
  readonly place: 'any' | 'browser' | 'folder';
  readonly checkpoint: string;
  readonly sampler: string;
  /** `WIDTH × HEIGHT`. */
  readonly size: string;
  readonly period: Period;
}

export const NO_FILTER: GalleryFilter = {
  query: '',
  place: 'any',
  checkpoint: '',
  sampler: '',
  size: '',
  period: 'any',
};

const DAY_MS = 24 * 60 * 60 * 1000;

function fold(text: string): string {
  return text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();
}

/** Folding ten thousand prompts at every key would be felt. */
const foldedTexts = new WeakMap<PictureInfo, string>();

function foldedText(picture: PictureInfo): string {
  const known = foldedTexts.get(picture);
  if (known !== undefined) return known;
  const { prompt, negativePrompt, checkpoint, sampler, seed, fileName } = picture;
  const text = fold(
    `${prompt} ${negativePrompt} ${checkpoint ?? ''} ${sampler} ${seed} ${fileName}`,
  );
  foldedTexts.set(picture, text);
  return text;
}

export function sizeOf({ width, height }: PictureInfo): string {
  return `${width} × ${height}`;
}

/** First and last millisecond of a period, days by the clock on the wall. */
function bounds(period: Period, now: Date): readonly [from: number, to: number] {
  const today = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime();
  switch (period) {
    case 'any':
      return [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    case 'today':
      return [today, Number.POSITIVE_INFINITY];
    case 'week':
      return [today - 6 * DAY_MS, Number.POSITIVE_INFINITY];
    case 'month':
      return [today - 29 * DAY_MS, Number.POSITIVE_INFINITY];
    case 'older':
      return [Number.NEGATIVE_INFINITY, today - 29 * DAY_MS - 1];
  }
}

/** The pictures that a filter lets through: every word of the query is somewhere in their words, case and accents aside. */
export function filterPictures(
  pictures: readonly PictureInfo[],
  filter: GalleryFilter,
  now = new Date(),
): readonly PictureInfo[] {
  const words = fold(filter.query)
    .split(/\s+/)
    .filter((word) => word !== '');
  const [from, to] = bounds(filter.period, now);
  return pictures.filter((picture) => {
    if (filter.place !== 'any' && isOutput(picture.id) !== (filter.place === 'folder'))
      return false;
    if (filter.checkpoint !== '' && picture.checkpoint !== filter.checkpoint) return false;
    if (filter.sampler !== '' && picture.sampler !== filter.sampler) return false;
    if (filter.size !== '' && sizeOf(picture) !== filter.size) return false;
    if (picture.createdAt < from || picture.createdAt > to) return false;
    if (words.length === 0) return true;
    const text = foldedText(picture);
    return words.every((word) => text.includes(word));
  });
}

/** What can be chosen in the filter: everything that some picture has, sorted. */
export function filterChoices(pictures: readonly PictureInfo[]) {
  const distinct = (read: (picture: PictureInfo) => string | null) =>
    [...new Set(pictures.map(read))]
      .filter((value): value is string => value !== null && value !== '')
      .sort((a, b) => a.localeCompare(b, undefined, { numeric: true }));
  return {
    checkpoints: distinct(({ checkpoint }) => checkpoint),
    samplers: distinct(({ sampler }) => sampler),
    sizes: distinct((picture) => (picture.width > 0 ? sizeOf(picture) : null)),
  };
}
