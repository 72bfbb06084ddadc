import { lookup } from 'node:dns';
import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import {
  authorizationFor,
  type HttpGet,
  type HttpReply,
  type HttpRequest,
} from '../../protocol/downloads/http-client.ts';
import { isLoopbackHost } from '../../protocol/downloads/model-reference.ts';
import { GenerationError } from '../../protocol/errors.ts';
import { EASEL_VERSION } from '../../protocol/version.ts';
import { isPrivateAddress } from './private-address.ts';

const MAX_REDIRECTS = 10;
/** A host that does not take the connection or does not answer for so long is asked again. */
const ANSWER_MS = 30_000;

export interface NodeHttpGetOptions {
  readonly hubEndpoint: string;
  /** `host:port` of addresses that the owner gave himself, which may be on this machine or beside it. */
  readonly ownHosts: ReadonlySet<string>;
}

function refused(host: string, why: string): GenerationError {
  return new GenerationError('invalid-request', `Nothing is downloaded from ${host}: ${why}`);
}

const NOT_PUBLIC =
  'it is an address of this machine or of its network. Only public addresses are followed, and what the command line or HF_ENDPOINT names.';

/** Resolves names to public addresses only: a name may point anywhere, also at this machine. */
export const lookUpPublic: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, '', 0);
    const found = addresses.filter(({ address }) => !isPrivateAddress(address));
    const [first] = found;
    if (!first) return callback(refused(hostname, NOT_PUBLIC), '', 0);
    if (options.all) return callback(null, found);
    callback(null, first.address, first.family);
  });
};

/** Throws for an address that may not be asked; gives whether it is one of the owner's. */
function checkAddress(url: URL, isOwn: boolean): void {
  const isSecure = url.protocol === 'https:';
  if (!isSecure && !(url.protocol === 'http:' && isLoopbackHost(url.hostname))) {
    throw refused(url.host, 'Easel downloads over https only.');
  }
  if (isOwn) return;
  const literal = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const isPrivate = isIP(literal) !== 0 && isPrivateAddress(literal);
  if (isPrivate || isLoopbackHost(url.hostname)) throw refused(url.host, NOT_PUBLIC);
}

/**
 * GET over Node's own client, which is asked hop by hop: a redirect elsewhere gets no key, and every
 * name is looked up here, so that none leads into the local network.
 */
export function createNodeHttpGet({ hubEndpoint, ownHosts }: NodeHttpGetOptions): HttpGet {
  return async function get(asked: HttpRequest): Promise<HttpReply> {
    const passed = new Map<string, string>();
    let url = new URL(asked.url);
    let isOwn = ownHosts.has(url.host);
    for (let hops = 0; hops <= MAX_REDIRECTS; hops += 1) {
      checkAddress(url, isOwn);
      const authorization = authorizationFor(url, { tokens: asked.tokens, hubEndpoint });
      const headers = {
        'user-agent': `Easel/${EASEL_VERSION}`,
        'accept-encoding': 'identity',
        ...asked.headers,
        ...(authorization === null ? {} : { authorization }),
      };
      const message = await ask(url, headers, isOwn, asked.signal);
      const location = message.headers.location;
      const isRedirect = [301, 302, 303, 307, 308].includes(message.statusCode ?? 0);
      if (!isRedirect || location === undefined) return toReply(message, passed, asked.signal);
      message.destroy();
      const linked = message.headers['x-linked-etag'];
      if (typeof linked === 'string') passed.set('x-linked-etag', linked);
      url = new URL(location, url);
      // What the owner's own host points at on this machine is the owner's as well.
      isOwn = ownHosts.has(url.host) || (isOwn && isLoopbackHost(url.hostname));
    }
    throw new GenerationError(
      'download-failed',
      `${new URL(asked.url).host} sends from one address to the next without end.`,
    );
  };
}

function ask(
  url: URL,
  headers: Readonly<Record<string, string>>,
  isOwn: boolean,
  signal: HttpRequest['signal'],
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request: ClientRequest = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
      headers,
      agent: false,
      timeout: ANSWER_MS,
      ...(isOwn ? {} : { lookup: lookUpPublic }),
    });
    const stop = () => request.destroy(new Error('stopped'));
    signal.addEventListener('abort', stop, { once: true });
    const done = () => signal.removeEventListener('abort', stop);
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('response', (message) => {
      done();
      // From here on the reader watches for silence.
      request.setTimeout(0);
      resolve(message);
    });
    request.on('error', (error) => {
      done();
      reject(error);
    });
    request.end();
  });
}

function toReply(
  message: IncomingMessage,
  passed: ReadonlyMap<string, string>,
  signal: HttpRequest['signal'],
): HttpReply {
  const stop = () => message.destroy();
  signal.addEventListener('abort', stop, { once: true });
  // Without a listener a connection that breaks between two reads would end the process.
  message.on('error', () => {});
  const chunks = message[Symbol.asyncIterator]();
  const cancel = () => {
    signal.removeEventListener('abort', stop);
    message.destroy();
  };
  return {
    status: message.statusCode ?? 0,
    header(name) {
      const value = message.headers[name];
      return (Array.isArray(value) ? value.join(', ') : value) ?? passed.get(name) ?? null;
    },
    async read() {
      const { done, value } = await chunks.next();
      if (done !== true) return value;
      if (!message.complete) throw new Error('the connection broke');
      return null;
    },
    cancel,
  };
}
