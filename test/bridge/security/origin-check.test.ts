import { describe, expect, it } from 'vitest';
import { judgeOrigin, originWarnings } from '../../../bridge/security/origin-check.ts';

const DEFAULT = { origins: [], hasDefaults: true, allowsNull: false };
const judge = (
  origin: string,
  changes: Partial<Parameters<typeof judgeOrigin>[2]> = {},
  host = 'localhost:7860',
) => judgeOrigin(origin, host, { ...DEFAULT, ...changes });

describe('the Origin rule', () => {
  it.each([
    ['http://localhost:7860', 'localhost:7860'],
    ['http://LOCALHOST:7860', 'localhost:7860'],
    ['http://127.0.0.1:7860', '127.0.0.1:7860'],
    ['http://[::1]:7860', '[::1]:7860'],
    ['http://gpu.example', 'gpu.example'],
    ['https://gpu.example', 'gpu.example'],
    ['https://gpu.example', 'gpu.example:443'],
  ])('S3 knows %s as the own page of %s', (origin, host) => {
    expect(judge(origin, {}, host)).toBe('own');
  });

  it.each([
    'https://lite.koboldai.net',
    'http://localhost:5001',
    'http://127.0.0.1:5001',
    'http://localhost',
    'https://localhost:8443',
    'http://[::1]:1',
    'http://app.localhost:3000',
  ])('S3 trusts %s by default', (origin) => {
    expect(judge(origin)).toBe('listed');
    expect(judge(origin, { hasDefaults: false })).toBe('refused');
  });

  it.each([
    'https://evil.test',
    'http://lite.koboldai.net',
    'https://lite.koboldai.net.evil.test',
    'https://lite.koboldai.net:444',
    'https://evil.test/https://lite.koboldai.net',
    'https://lite.koboldai.net@evil.test',
    'https://user@lite.koboldai.net',
    'http://localhost.evil.test',
    'http://127.0.0.1.nip.io',
    'http://127.1:7860',
    'http://2130706433',
    'http://0.0.0.0:7860',
    'http://127.0.0.2',
    'file://',
    'file:///',
    'chrome-extension://abc',
    'null',
    '',
    ' ',
    '*',
    'localhost:7860',
    'http://localhost:7860, https://evil.test',
    'http://localhost:7860 https://evil.test',
    'javascript:1',
    'http://localhost:99999',
    'http://',
    'http://localhost:7860/path',
    'http://192.168.1.5:7860',
    'ftp://localhost:7860',
  ])('S3 refuses %j', (origin) => {
    expect(judge(origin)).toBe('refused');
  });

  it('S3 takes origins by flag, with and without a scheme', () => {
    const origins = ['https://a.example', 'b.example:3000', 'c.example', 'http://d.example/'];
    for (const origin of [
      'https://a.example',
      'https://a.example:443',
      'http://b.example:3000',
      'https://b.example:3000',
      'http://c.example',
      'https://c.example',
      'http://d.example',
    ])
      expect(judge(origin, { origins }), origin).toBe('listed');
    for (const origin of [
      'http://a.example',
      'https://a.example:444',
      'http://b.example',
      'https://x.a.example',
      'https://d.example',
    ])
      expect(judge(origin, { origins }), origin).toBe('refused');
  });

  it('S3 opens to all by * only as "wildcard", and never to null by it', () => {
    expect(judge('https://evil.test', { origins: ['*'] })).toBe('wildcard');
    expect(judge('https://lite.koboldai.net', { origins: ['*'] })).toBe('listed');
    expect(judge('null', { origins: ['*'] })).toBe('refused');
    expect(judge('null', { allowsNull: true })).toBe('listed');
  });

  it('warns of * and of entries that can match nothing', () => {
    expect(originWarnings(['https://a.example', 'b:1'])).toEqual([]);
    expect(originWarnings(['*'])[0]).toContain('every web page');
    expect(originWarnings(['https://*.example'])[0]).toContain('is no origin');
  });
});
