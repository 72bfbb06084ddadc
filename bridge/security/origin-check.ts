import { parseAuthority } from './authority.ts';
import { isLoopbackName } from './host-check.ts';

/** The page of KoboldAI Lite, trusted by default so that connecting takes no flag. */
const DEFAULT_ORIGINS = ['https://lite.koboldai.net'];

export interface OriginRule {
  /** As written on the command line: `https://name`, `name:port`, `*`. */
  readonly origins: readonly string[];
  /** Loopback pages and KoboldAI Lite. */
  readonly hasDefaults: boolean;
  readonly allowsNull: boolean;
}

/**
 * `own`: the bridge's own page. `listed`: named by default or by flag. `wildcard`: let in by `*` alone,
 * which opens neither the relay nor the settings. `refused`: everybody else.
 */
export type OriginVerdict = 'own' | 'listed' | 'wildcard' | 'refused';

interface PageOrigin {
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
}

const DEFAULT_PORTS: Readonly<Record<string, number>> = { http: 80, https: 443 };

function parseOrigin(text: string): PageOrigin | null {
  const match = /^([a-z][a-z0-9+.-]*):\/\/([^/?#\\@\s]+)\/?$/i.exec(text);
  if (!match) return null;
  const scheme = (match[1] ?? '').toLowerCase();
  const authority = parseAuthority(match[2] ?? '');
  if (!authority) return null;
  return { scheme, host: authority.host, port: authority.port ?? DEFAULT_PORTS[scheme] ?? 0 };
}

function isListed(origin: PageOrigin, entry: string): boolean {
  const withScheme = parseOrigin(entry);
  if (withScheme) {
    return (
      withScheme.scheme === origin.scheme &&
      withScheme.host === origin.host &&
      withScheme.port === origin.port
    );
  }
  // `host:port` without a scheme, as SHARK's guide writes it: http and https both.
  const authority = parseAuthority(entry);
  if (!authority || !(origin.scheme in DEFAULT_PORTS)) return false;
  const port = authority.port ?? DEFAULT_PORTS[origin.scheme];
  return authority.host === origin.host && port === origin.port;
}

/** Whether an Origin header names the very address that the (already checked) Host header names. */
function isOwn(origin: PageOrigin, host: string): boolean {
  if (!(origin.scheme in DEFAULT_PORTS)) return false;
  const authority = parseAuthority(host);
  if (!authority) return false;
  return (
    authority.host === origin.host &&
    (authority.port ?? DEFAULT_PORTS[origin.scheme]) === origin.port
  );
}

/** Judges an Origin header against the Host header of the same request and the rule. */
export function judgeOrigin(value: string, host: string, rule: OriginRule): OriginVerdict {
  if (value === 'null') return rule.allowsNull ? 'listed' : 'refused';
  const origin = parseOrigin(value);
  if (!origin) return 'refused';
  if (isOwn(origin, host)) return 'own';
  if (rule.origins.some((entry) => entry !== '*' && isListed(origin, entry))) return 'listed';
  if (rule.hasDefaults) {
    const isWeb = origin.scheme in DEFAULT_PORTS;
    if (isWeb && isLoopbackName(origin.host)) return 'listed';
    if (DEFAULT_ORIGINS.some((entry) => isListed(origin, entry))) return 'listed';
  }
  return rule.origins.includes('*') ? 'wildcard' : 'refused';
}

/** Sentences about entries of the origin list that can never match, for the start-up log. */
export function originWarnings(origins: readonly string[]): string[] {
  return origins.flatMap((entry) => {
    if (entry === '*') {
      return [
        '--cors-allow-origins * lets every web page use the API. Name the pages you use instead.',
      ];
    }
    if (parseOrigin(entry) || parseAuthority(entry)) return [];
    return [`--cors-allow-origins: "${entry}" is no origin; write https://name or host:port.`];
  });
}
