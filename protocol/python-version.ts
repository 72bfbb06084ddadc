/** A version number as Python's packaging compares them, as a list in which the first difference decides. */
export type VersionKey = readonly number[];

const VERSION = new RegExp(
  String.raw`^\s*v?(?:(\d+)!)?(\d+(?:\.\d+)*)` +
    String.raw`(?:[-_.]?(alpha|a|beta|b|preview|pre|c|rc)[-_.]?(\d*))?` +
    String.raw`(?:-(\d+)|[-_.]?(post|rev|r)[-_.]?(\d*))?` +
    String.raw`(?:[-_.]?(dev)[-_.]?(\d*))?(\+[a-z0-9]+(?:[-_.][a-z0-9]+)*)?\s*$`,
  'i',
);
const PRE_RANK: Readonly<Record<string, number>> = {
  alpha: 0,
  a: 0,
  beta: 1,
  b: 1,
  preview: 2,
  pre: 2,
  c: 2,
  rc: 2,
};
const RELEASE_PARTS = 8;

/**
 * Reads a version number: `1.6.0`, `v1.7.0-225` (225 commits behind 1.7.0), `1.6.0-RC`, … A trailing `-g<hash>` is cut
 * as A1111 does. Null for anything else, such as another program's version.
 */
export function parseVersion(text: string): VersionKey | null {
  const described = /^([^-]+-[^-]+)-/.exec(text);
  const match = VERSION.exec(described?.[1] ?? text);
  if (!match) return null;
  const [, epoch, release = '', pre, preNumber, postDash, post, postNumber, dev, devNumber, local] =
    match;
  const parts = release.split('.').map(Number).slice(0, RELEASE_PARTS);
  while (parts.length < RELEASE_PARTS) parts.push(0);
  const isPost = postDash !== undefined || post !== undefined;
  const preKey =
    pre === undefined
      ? [dev !== undefined && !isPost ? -1 : 3, 0]
      : [PRE_RANK[pre.toLowerCase()] ?? 2, Number(preNumber ?? 0)];
  return [
    Number(epoch ?? 0),
    ...parts,
    ...preKey,
    isPost ? Number(postDash ?? (postNumber || 0)) : -1,
    dev === undefined ? Number.POSITIVE_INFINITY : Number(devNumber ?? 0),
    local === undefined ? 0 : 1,
  ];
}

/** Negative where `a` is older than `b`, 0 where they are the same, positive where it is newer. */
export function compareVersions(a: VersionKey, b: VersionKey): number {
  for (const [index, part] of a.entries()) {
    const other = b[index] ?? 0;
    if (part !== other) return part < other ? -1 : 1;
  }
  return 0;
}
