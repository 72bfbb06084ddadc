import { EASEL_VERSION } from '../../protocol/version.ts';
import type { Bridge } from '../bridge.ts';
import type { BridgeOptions } from '../options/options.ts';

/** What a person needs to know at start: where the page is, what to type into a client, where files go. */
export function banner(
  bridge: Pick<Bridge, 'url' | 'port' | 'services' | 'access'>,
  options: BridgeOptions,
): string {
  const rows: (readonly [string, string])[] = [
    ['Page', bridge.url],
    ['KoboldAI Lite', 'Settings, Media, Image Backend: KCPP / Forge / A1111,'],
    [
      '',
      bridge.access.isOn
        ? 'with the address that --print-links prints, because it cannot send a password'
        : `with the address ${bridge.url}`,
    ],
    ['Other clients', `AUTOMATIC1111 API at ${bridge.url}/sdapi/v1/`],
    ['Models', options.folders.checkpoint],
    ['Pictures', bridge.services.outputs.folder],
    ['Data', options.dataFolder],
  ];
  if (options.listen !== null) {
    rows.push(['Network', `port ${bridge.port} of this machine, with the password you set`]);
    if (!options.tls) {
      rows.push([
        '',
        'Without TLS, other machines can be clients; the engine must run on this one.',
      ]);
    }
  }
  if (options.printLinks) {
    const link = `${bridge.url}${bridge.access.capabilityPath}`;
    rows.push([
      'Link',
      bridge.access.isOn ? `${link} for clients without a password` : 'needless without a password',
    ]);
  }
  const lines = rows.map(([name, value]) => `  ${name.padEnd(14)}${value}`);
  return [`Easel ${EASEL_VERSION}`, ...lines].join('\n');
}
