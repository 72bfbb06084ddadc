import { spawn } from 'node:child_process';

/** The platform's way to open an address in the default browser. */
export function openCommand(
  url: string,
  platform: NodeJS.Platform = process.platform,
): { readonly command: string; readonly args: readonly string[] } {
  if (platform === 'win32') {
    // rundll32 takes the address as it is; `start` would read & as the end of the command.
    return { command: 'rundll32', args: ['url.dll,FileProtocolHandler', url] };
  }
  return { command: platform === 'darwin' ? 'open' : 'xdg-open', args: [url] };
}

/** Opens an address in the default browser; false when that could not even be tried. */
export function openPage(url: string): Promise<boolean> {
  const { command, args } = openCommand(url);
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'ignore', detached: true });
    child.once('error', () => resolve(false));
    child.once('spawn', () => {
      child.unref();
      resolve(true);
    });
  });
}
