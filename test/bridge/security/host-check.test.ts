import { hostname, networkInterfaces } from 'node:os';
import { describe, expect, it } from 'vitest';
import { checkHost, type HostRule } from '../../../bridge/security/host-check.ts';

const LOCAL: HostRule = { isPublic: false, names: [] };
const judge = (host: string, rule = LOCAL, target = '/') =>
  checkHost({ hosts: [host], target }, rule).type;

describe('the Host rule', () => {
  it.each([
    'localhost',
    'localhost:7860',
    'LOCALHOST',
    'localhost.',
    'localhost.:7860',
    'easel.localhost',
    'a.b.localhost:1',
    '127.0.0.1',
    '127.0.0.1:7860',
    '127.0.0.1:65535',
    '[::1]',
    '[::1]:7860',
    '[0:0:0:0:0:0:0:1]:7860',
  ])('S2 lets %s in', (host) => {
    expect(judge(host)).toBe('allowed');
  });

  it.each([
    'evil.test',
    'evil.test:7860',
    'evil.test.',
    'localhost.evil.test',
    'xlocalhost',
    'localhost.com',
    '127.0.0.1.nip.io',
    '127-0-0-1.sslip.io',
    '7f000001.rbndr.us',
    'localhost.evil.test:7860',
    '0.0.0.0',
    '0.0.0.0:7860',
    '[::]',
    '[::]:7860',
    '127.0.0.2',
    '10.0.0.1',
    '192.168.1.5:7860',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[fe80::1]',
    '[2001:db8::1]',
    'local',
    'internal',
    'xn--localhst-c4a',
    'kubernetes.docker.internal',
  ])('S2 refuses %s, naming the flag', (host) => {
    const verdict = checkHost({ hosts: [host], target: '/' }, LOCAL);
    expect(verdict.type).toBe('foreign');
    expect(verdict.type === 'foreign' && verdict.message).toContain('--allow-host');
  });

  it.each([
    '',
    ' ',
    'user@localhost',
    'user:pass@localhost',
    'localhost@evil.test',
    'localhost:',
    'localhost:0',
    'localhost:65536',
    'localhost:99999',
    'localhost:78601',
    'localhost:7860:80',
    'localhost:abc',
    'localhost:-1',
    '2130706433',
    '2130706433:7860',
    '0x7f000001',
    '0x7f.0.0.1',
    '0177.0.0.1',
    '127.1',
    '127.0.1',
    '127.0.0.1.',
    '127.0.0.01',
    '256.0.0.1',
    '[::1',
    '::1',
    '[::1]x',
    '[::1%25lo]',
    '[fe80::1%eth0]',
    '[fe80::1%25eth0]:7860',
    'localhost/',
    'localhost/evil',
    'localhost?x',
    'localhost#x',
    'localhost\\evil',
    'loc alhost',
    'localhost,evil.test',
    'locаlhost',
    'localhost\u0000',
    '-localhost',
    'a..localhost',
    '.localhost',
    'localhost..',
    '[]',
    '[gg::1]',
  ])('S2 calls %j malformed', (host) => {
    expect(judge(host)).toBe('malformed');
  });

  it('S2 refuses two Host headers and none at all', () => {
    const two = { hosts: ['localhost', 'evil.test'], target: '/' };
    expect(checkHost(two, LOCAL).type).toBe('malformed');
    expect(checkHost({ hosts: ['localhost', 'localhost'], target: '/' }, LOCAL).type).toBe(
      'malformed',
    );
    expect(checkHost({ hosts: [], target: '/' }, LOCAL).type).toBe('malformed');
  });

  it('S2 refuses a request line that names another host than the header', () => {
    expect(judge('localhost:7860', LOCAL, 'http://localhost:7860/health')).toBe('allowed');
    expect(judge('localhost:7860', LOCAL, 'http://LOCALHOST:7860/health')).toBe('allowed');
    for (const target of [
      'http://evil.test/health',
      'http://localhost:1/',
      'http://user@localhost:7860/',
      'ftp://localhost:7860/',
      'http://',
      'health',
      '//evil.test/',
    ]) {
      const expected = target === '//evil.test/' ? 'allowed' : 'malformed';
      expect(judge('localhost:7860', LOCAL, target), target).toBe(expected);
    }
  });

  it('S2 takes names by flag, whole or by ending', () => {
    const rule = { isPublic: false, names: ['gpu.example', '.lan', '192.168.7.7'] };
    for (const host of [
      'gpu.example',
      'GPU.example:7860',
      'gpu.example.',
      'box.lan',
      'lan',
      '192.168.7.7:1',
    ]) {
      expect(judge(host, rule), host).toBe('allowed');
    }
    for (const host of ['x.gpu.example', 'gpu.example.evil.test', 'boxlan', '192.168.7.8']) {
      expect(judge(host, rule), host).toBe('foreign');
    }
  });

  it('S2 knows the own addresses and names only when it listens beyond loopback', () => {
    const own = Object.values(networkInterfaces())
      .flat()
      .filter((entry) => entry?.family === 'IPv4');
    const addresses = own
      .map((entry) => entry!.address)
      .filter((address) => address !== '127.0.0.1');
    const name = hostname().toLowerCase();
    const isPublic = { isPublic: true, names: [] };
    for (const address of addresses) {
      expect(judge(address, isPublic)).toBe('allowed');
      expect(judge(address)).toBe('foreign');
    }
    if (/^[a-z]/.test(name) && name !== 'localhost') {
      expect(judge(name, isPublic)).toBe('allowed');
      expect(judge(name)).toBe('foreign');
    }
    expect(judge('evil.test', isPublic)).toBe('foreign');
    expect(judge('0.0.0.0', isPublic)).toBe('foreign');
  });
});
