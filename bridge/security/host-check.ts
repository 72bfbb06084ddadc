import { hostname, networkInterfaces } from 'node:os';
import { parseAuthority } from './authority.ts';

/** What a request says about where it goes, before anything else of it is believed. */
export interface RequestTarget {
  /** Every Host header of the request, in order. */
  readonly hosts: readonly string[];
  /** The request line's target. */
  readonly target: string;
}

export type HostVerdict =
  | { readonly type: 'allowed' }
  | { readonly type: 'malformed'; readonly message: string }
  | { readonly type: 'foreign'; readonly message: string };

export interface HostRule {
  /** True when the bridge listens beyond loopback: then its own addresses and names are its names too. */
  readonly isPublic: boolean;
  /** Names allowed by flag; `.name` also allows what ends in it. */
  readonly names: readonly string[];
}

const ALLOWED: HostVerdict = { type: 'allowed' };

/** The machine's own addresses and names, asked anew so that a changed network is noticed. */
function ownNames(): Set<string> {
  const names = new Set<string>();
  for (const entry of Object.values(networkInterfaces()).flat()) {
    if (!entry) continue;
    names.add(entry.family === 'IPv6' ? `[${entry.address.toLowerCase()}]` : entry.address);
  }
  const name = hostname().toLowerCase();
  if (name !== '') {
    names.add(name);
    if (!name.includes('.')) names.add(`${name}.local`);
  }
  return names;
}

/** Names of the loopback interface; nothing a remote name server can answer for. */
export function isLoopbackName(host: string): boolean {
  return (
    host === 'localhost' || host.endsWith('.localhost') || host === '127.0.0.1' || host === '[::1]'
  );
}

function isNamed(host: string, names: readonly string[]): boolean {
  return names.some((name) => {
    const wanted = name.toLowerCase();
    if (wanted.startsWith('.')) return host.endsWith(wanted) || host === wanted.slice(1);
    return parseAuthority(wanted)?.host === host;
  });
}

/**
 * A page whose name was rebound to this machine sends no Origin and no Sec-Fetch header; the Host
 * header alone gives it away. So every request, upgrade and file goes through here.
 */
export function checkHost({ hosts, target }: RequestTarget, rule: HostRule): HostVerdict {
  const [value, ...others] = hosts;
  if (value === undefined || value === '') {
    return { type: 'malformed', message: 'The request has no Host header.' };
  }
  if (others.length > 0) {
    return { type: 'malformed', message: 'The request has more than one Host header.' };
  }
  const authority = parseAuthority(value);
  if (!authority) return { type: 'malformed', message: 'The Host header is malformed.' };
  if (!target.startsWith('/') && target !== '*') {
    const named = /^https?:\/\/([^/?#]*)/i.exec(target)?.[1];
    const other = named === undefined ? null : parseAuthority(named);
    if (!other || other.host !== authority.host || other.port !== authority.port) {
      return { type: 'malformed', message: 'The request line names another host than the header.' };
    }
  }
  const { host } = authority;
  if (isLoopbackName(host) || isNamed(host, rule.names)) return ALLOWED;
  if (rule.isPublic && ownNames().has(host)) return ALLOWED;
  return {
    type: 'foreign',
    message: `Easel is not known as ${host}. If it should be, start it with --allow-host ${host}.`,
  };
}
