/** Host and port of a request, strictly read. */
export interface Authority {
  /** Lower case, without a trailing dot; IPv6 in brackets. */
  readonly host: string;
  /** As given, or null for the scheme's default. */
  readonly port: number | null;
}

const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$/;
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * A name of letters, digits and hyphens whose last label is no number: `127.1`, `0x7f.1` and
 * `2130706433` are addresses to a browser, so here they are nothing.
 */
function isName(host: string): boolean {
  const labels = host.split('.');
  const last = labels.at(-1) ?? '';
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(last)) return false;
  return host.length <= 253 && labels.every((label) => LABEL.test(label));
}

function normalizeIpv6(text: string): string | null {
  // The URL parser is the one that knows every spelling; it refuses zones.
  if (!/^[0-9a-f:.]+$/.test(text) || !URL.canParse(`http://[${text}]/`)) return null;
  return new URL(`http://[${text}]/`).hostname;
}

/**
 * Reads the value of a Host header (RFC 9110 `uri-host [":" port]`). Null for everything that is not
 * plainly that: userinfo, paths, zones, ports above 65535, numbers that a browser takes for addresses.
 */
export function parseAuthority(value: string): Authority | null {
  const match = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d{1,5}))?$/.exec(value);
  if (!match) return null;
  const port = match[2] === undefined ? null : Number(match[2]);
  if (port !== null && (port < 1 || port > 65_535)) return null;
  const raw = (match[1] ?? '').toLowerCase();
  if (raw.startsWith('[')) {
    const host = normalizeIpv6(raw.slice(1, -1));
    return host === null ? null : { host, port };
  }
  const host = raw.endsWith('.') ? raw.slice(0, -1) : raw;
  if (IPV4.test(host)) return raw === host ? { host, port } : null;
  return isName(host) ? { host, port } : null;
}
