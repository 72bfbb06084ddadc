import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AccessControl, SecretComparer } from '../../../bridge/security/access-control.ts';
import { openAccessSecrets } from '../../../bridge/security/access-file.ts';
import { GuessLimit } from '../../../bridge/security/guess-limit.ts';
import { temporaryFolder } from '../support.ts';

const SECRETS = { sessionKey: 'k'.repeat(32), capability: 'c'.repeat(32) };
const PAIRS = [
  { user: 'ann', password: 'one:two' },
  { user: 'bob', password: 'ünïcode' },
];
const control = (now = Date.now) =>
  new AccessControl({ credentials: PAIRS, secrets: SECRETS, now });
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

describe('passwords', () => {
  it.each([
    [basic('ann:one:two'), 'right'],
    [basic('bob:ünïcode'), 'right'],
    [
      basic('ann:one:two')
        .toLowerCase()
        .replace(/^basic .*/, basic('ann:one:two').replace('Basic', 'basic')),
      'right',
    ],
    ['Bearer one:two', 'right'],
    ['Bearer ann:one:two', 'right'],
    ['bearer   one:two  ', 'right'],
    [basic('ann:one'), 'wrong'],
    [basic('ann:'), 'wrong'],
    [basic(':one:two'), 'wrong'],
    [basic('bob:one:two'), 'wrong'],
    ['Bearer one', 'wrong'],
    ['Bearer ann', 'wrong'],
    [undefined, 'absent'],
    ['', 'absent'],
    ['   ', 'absent'],
    ['Basic', 'absent'],
    ['Basic ', 'absent'],
    ['Bearer ', 'absent'],
    [basic(':'), 'absent'],
    [basic('undefined'), 'malformed'],
    ['Basic ???', 'malformed'],
    ['Digest username="ann"', 'malformed'],
    ['=====', 'malformed'],
  ])('S6 %j is %s', (header, verdict) => {
    expect(control().judgeHeader(header)).toBe(verdict);
  });

  it('S6 is off without credentials', () => {
    const off = new AccessControl({ credentials: [], secrets: SECRETS });
    expect(off.isOn).toBe(false);
    expect(off.isCapability(SECRETS.capability)).toBe(false);
  });

  it('S7 compares in a time that does not tell where two texts differ', () => {
    const comparer = new SecretComparer();
    const secret = 'correct horse battery staple'.repeat(4);
    const first = `X${secret.slice(1)}`;
    const last = `${secret.slice(0, -1)}X`;
    const times: Record<'first' | 'last', number[]> = { first: [], last: [] };
    for (let trial = 0; trial < 20_000; trial += 1) {
      const order = trial % 2 === 0 ? (['first', 'last'] as const) : (['last', 'first'] as const);
      for (const kind of order) {
        const start = process.hrtime.bigint();
        comparer.isEqual(secret, kind === 'first' ? first : last);
        times[kind].push(Number(process.hrtime.bigint() - start));
      }
    }
    // Pauses of the machine hit both alike: the middle half is what the comparison itself takes.
    const middle = (values: number[]) => values.sort((a, b) => a - b).slice(5_000, 15_000);
    const [a, b] = [middle(times.first), middle(times.last)];
    const mean = (values: number[]) =>
      values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = (values: number[]) => mean(values.map((value) => (value - mean(values)) ** 2));
    const sigma = Math.sqrt(variance(a) + variance(b));
    expect(Math.abs(mean(a) - mean(b))).toBeLessThan(3 * sigma);
  });
});

describe('sessions, links and the capability path', () => {
  it('S6 accepts the cookie it issued until it expires or a password changes', () => {
    let now = 1_000_000_000_000;
    const access = control(() => now);
    const { value } = access.issueSession();
    expect(access.isSession(value)).toBe(true);
    expect(access.isSession(value.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')))).toBe(false);
    expect(access.isSession(value.replace(/^\d/, '9'))).toBe(false);
    expect(access.isSession(undefined)).toBe(false);
    const restarted = control(() => now);
    expect(restarted.isSession(value)).toBe(true);
    const changed = new AccessControl({
      credentials: [{ user: 'ann', password: 'new' }],
      secrets: SECRETS,
      now: () => now,
    });
    expect(changed.isSession(value)).toBe(false);
    now += 31 * 24 * 3_600_000;
    expect(access.isSession(value)).toBe(false);
  });

  it('S17 lets a link in once, and not after ten minutes', () => {
    let now = 0;
    const access = control(() => now);
    const link = access.issueLink();
    expect(access.redeemLink('x'.repeat(32))).toBe(false);
    expect(access.redeemLink(link)).toBe(true);
    expect(access.redeemLink(link)).toBe(false);
    const late = access.issueLink();
    now += 10 * 60_000 + 1;
    expect(access.redeemLink(late)).toBe(false);
  });

  let folder: ReturnType<typeof temporaryFolder>;
  beforeEach(() => {
    folder = temporaryFolder();
  });
  afterEach(() => folder.remove());

  it('S17 keeps its secrets in a file of this user alone, across restarts', async () => {
    const secrets = await openAccessSecrets(folder.path);
    expect(secrets.capability).toMatch(/^[\w-]{32}$/);
    expect(secrets.capability).not.toBe(secrets.sessionKey);
    const path = join(folder.path, 'access.json');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await openAccessSecrets(folder.path)).toEqual(secrets);
    writeFileSync(path, '{"sessionKey": "short"}');
    expect(await openAccessSecrets(folder.path)).not.toEqual(secrets);
  });
});

describe('the guessing limit', () => {
  it('S7 allows two failures a minute and twelve an hour on top, by address', () => {
    let now = 0;
    const limit = new GuessLimit({ now: () => now });
    let failures = 0;
    while (limit.waitSeconds('a') === 0) {
      limit.failed('a');
      failures += 1;
    }
    expect(failures).toBe(14);
    expect(limit.waitSeconds('a')).toBe(30);
    expect(limit.waitSeconds('b')).toBe(0);
    now += 30_000;
    expect(limit.waitSeconds('a')).toBe(0);
    limit.failed('a');
    expect(limit.waitSeconds('a')).toBe(30);
    let inAnHour = 0;
    for (const end = now + 3_600_000; now < end; now += 1_000) {
      while (limit.waitSeconds('a') === 0) {
        limit.failed('a');
        inAnHour += 1;
      }
    }
    expect(inAnHour).toBeGreaterThan(125);
    expect(inAnHour).toBeLessThanOrEqual(2 * 60 + 12);
  });

  it('S7 forgets the oldest addresses rather than growing without end', () => {
    const limit = new GuessLimit({ now: () => 0 });
    for (let index = 0; index < 14; index += 1) limit.failed('first');
    expect(limit.waitSeconds('first')).toBeGreaterThan(0);
    for (let index = 0; index < 10_000; index += 1) limit.failed(`a${index}`);
    expect(limit.waitSeconds('first')).toBe(0);
  });
});
