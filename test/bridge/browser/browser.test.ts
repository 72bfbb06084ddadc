import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { browserHint, findBrowser, hasDesktop } from '../../../bridge/browser/find-browser.ts';
import { HeadlessBrowser } from '../../../bridge/browser/headless-browser.ts';
import { headlessFlags } from '../../../bridge/browser/headless-flags.ts';
import { openCommand } from '../../../bridge/browser/open-page.ts';
import { createLogger } from '../../../bridge/log.ts';
import { temporaryFolder } from '../support.ts';

const only =
  (...paths: string[]) =>
  (path: string) =>
    paths.includes(path);

describe('finding a browser', () => {
  it('takes the one that EASEL_CHROMIUM names, and no other when that is wrong', () => {
    const env = { EASEL_CHROMIUM: '/my/chrome', PATH: '/usr/bin' };
    const search = { env, platform: 'linux' } as const;
    expect(findBrowser({ ...search, isExecutable: only('/my/chrome', '/usr/bin/chromium') })).toBe(
      '/my/chrome',
    );
    expect(findBrowser({ ...search, isExecutable: only('/usr/bin/chromium') })).toBeNull();
  });

  it('looks through PATH on Linux, Chrome before Chromium before Edge', () => {
    const search = { env: { PATH: '/a::/b' }, platform: 'linux' } as const;
    expect(findBrowser({ ...search, isExecutable: only('/b/chromium', '/a/microsoft-edge') })).toBe(
      '/b/chromium',
    );
    expect(findBrowser({ ...search, isExecutable: only('/b/google-chrome', '/a/chromium') })).toBe(
      '/b/google-chrome',
    );
    expect(findBrowser({ ...search, isExecutable: only('/b/firefox') })).toBeNull();
    expect(findBrowser({ env: {}, platform: 'linux', isExecutable: () => true })).toBeNull();
  });

  it('knows where they are installed on macOS and Windows', () => {
    const mac = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';
    expect(findBrowser({ env: {}, platform: 'darwin', isExecutable: only(mac) })).toBe(mac);
    const edge = 'C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe';
    const env = {
      PROGRAMFILES: 'C:\\Program Files',
      'PROGRAMFILES(X86)': 'C:\\Program Files (x86)',
    };
    expect(findBrowser({ env, platform: 'win32', isExecutable: only(edge) })).toBe(edge);
    expect(findBrowser({ env: {}, platform: 'win32', isExecutable: () => true })).toBeNull();
  });

  it('tells a desktop from a server and from a terminal elsewhere', () => {
    expect(hasDesktop({ platform: 'linux', env: { DISPLAY: ':0' } })).toBe(true);
    expect(hasDesktop({ platform: 'linux', env: { WAYLAND_DISPLAY: 'wayland-0' } })).toBe(true);
    expect(hasDesktop({ platform: 'linux', env: {} })).toBe(false);
    expect(hasDesktop({ platform: 'linux', env: { DISPLAY: ':10', SSH_CONNECTION: '1' } })).toBe(
      false,
    );
    expect(hasDesktop({ platform: 'darwin', env: {} })).toBe(true);
    expect(hasDesktop({ platform: 'darwin', env: { SSH_TTY: '/dev/tty' } })).toBe(false);
    expect(hasDesktop({ platform: 'win32', env: {} })).toBe(true);
  });

  it('says how to get one', () => {
    expect(browserHint('linux')).toContain('apt-get install chromium');
    expect(browserHint('win32')).toContain('EASEL_CHROMIUM');
  });
});

describe('the headless browser', () => {
  it('has its profile where it is told, WebGPU on, throttling off, and no sandbox only as root', () => {
    const flags = headlessFlags({
      profile: '/data/browser-profile',
      platform: 'linux',
      isRoot: false,
    });
    expect(flags).toEqual(
      expect.arrayContaining([
        '--headless=new',
        '--remote-debugging-pipe',
        '--user-data-dir=/data/browser-profile',
        '--enable-unsafe-webgpu',
        '--enable-features=Vulkan',
        '--disable-background-timer-throttling',
        '--no-first-run',
        '--disable-sync',
      ]),
    );
    expect(flags).not.toContain('--no-sandbox');
    expect(headlessFlags({ profile: '/p', platform: 'linux', isRoot: true })).toContain(
      '--no-sandbox',
    );
    expect(headlessFlags({ profile: '/p', platform: 'win32', isRoot: false }).join()).not.toContain(
      'Vulkan',
    );
    expect(flags.filter((flag) => flag.startsWith('--enable-features'))).toHaveLength(1);
    expect(flags.filter((flag) => flag.startsWith('--disable-features'))).toHaveLength(1);
  });

  it('says why the browser ended, what to do, and no secret of its address', async () => {
    const folder = temporaryFolder();
    const path = join(folder.path, 'browser');
    const output = [
      'subprocess exited with status 1',
      '[15:15:1124/1926.48:ERROR:zygote_host.cc:128] No usable sandbox! See http://localhost/login?link=SECRET',
      'Error: exit status 1 ',
    ];
    writeFileSync(
      path,
      `#!/bin/sh\n${output.map((line) => `echo '${line}' >&2`).join('\n')}\nexit 1\n`,
    );
    chmodSync(path, 0o755);
    const lines: string[] = [];
    const browser = new HeadlessBrowser({
      ...{ path, profile: join(folder.path, 'profile'), flags: [], url: () => 'http://localhost' },
      log: createLogger({
        level: 'warn',
        write: (text) => void lines.push(text),
      }),
    });
    browser.start();
    while (lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    await browser.stop();
    folder.remove();
    expect(lines.join()).toContain('No usable sandbox! See http://localhost/login?…');
    expect(lines.join()).toContain('exit code 1');
    expect(lines.join()).toContain('seccomp=unconfined');
    expect(lines.join()).not.toContain('SECRET');
  });

  it('S17 never shows a password or a key among its flags', () => {
    expect(headlessFlags({ profile: '/p' }).join(' ')).not.toMatch(/token|pass=|auth/i);
  });
});

describe('opening the page', () => {
  it('uses the platform’s own way and hands the address over as one argument', () => {
    const url = 'http://localhost:7860/login?link=a&b=$(x)';
    expect(openCommand(url, 'linux')).toEqual({ command: 'xdg-open', args: [url] });
    expect(openCommand(url, 'darwin')).toEqual({ command: 'open', args: [url] });
    expect(openCommand(url, 'win32')).toEqual({
      command: 'rundll32',
      args: ['url.dll,FileProtocolHandler', url],
    });
  });
});
