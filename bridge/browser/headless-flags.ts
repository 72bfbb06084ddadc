/** How the headless browser is started. */
export interface HeadlessOptions {
  /** Folder of the browser's profile: compiled models live in it. */
  readonly profile: string;
  readonly platform?: NodeJS.Platform;
  /** Chromium's sandbox cannot run as root. */
  readonly isRoot?: boolean;
}

/** Flags for a Chromium that runs the engine's page without a window. */
export function headlessFlags({
  profile,
  platform = process.platform,
  isRoot = process.getuid?.() === 0,
}: HeadlessOptions): string[] {
  return [
    '--headless=new',
    // Ends the browser when the other end of the pipe goes, so that it never outlives a killed bridge.
    '--remote-debugging-pipe',
    `--user-data-dir=${profile}`,
    '--no-first-run',
    '--no-default-browser-check',
    '--disable-sync',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-default-apps',
    '--disable-extensions',
    '--disable-features=Translate,MediaRouter,OptimizationHints',
    // The page is never in front of anybody: nothing of it may be slowed down for that.
    '--disable-background-timer-throttling',
    '--disable-backgrounding-occluded-windows',
    '--disable-renderer-backgrounding',
    '--enable-unsafe-webgpu',
    ...(platform === 'linux' ? ['--enable-features=Vulkan', '--password-store=basic'] : []),
    ...(platform === 'darwin' ? ['--use-mock-keychain'] : []),
    // Small /dev/shm in containers would crash the renderer.
    ...(platform === 'linux' ? ['--disable-dev-shm-usage'] : []),
    ...(isRoot ? ['--no-sandbox'] : []),
  ];
}
