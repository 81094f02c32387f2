// The one way to speak to other people's servers: it keeps to public addresses, and to bounds whatever the server does.
// What is asked of them, when, and what their answers mean, stands in sources and deliver.
import { promises as dns, type LookupAddress } from 'node:dns'
import http, { type IncomingMessage } from 'node:http'
import https, { type RequestOptions } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, type InputType, type ZlibOptions } from 'node:zlib'
import { isPublicAddress } from '../core/addresses.ts'

/** What is sent, and to whom. The headers go out as they are, beside those of the connection itself. */
export interface Outgoing { method: 'GET' | 'POST', url: string, headers: Record<string, string>, body?: string }

/** What came back: names of headers in lower case, without cookies; `body` is decoded, `url` that after redirects. */
export interface Incoming { status: number, headers: Record<string, string>, body: Uint8Array, url: string }

/**
 * How long the whole exchange may last, from the resolver to the last byte, ms; how long its body may be, bytes, as sent
 * and decoded; how many redirects a GET follows (a POST follows none: its answer is the redirect).
 */
export interface OutgoingLimits { timeoutMs: number, bodyMax: number, redirectsMax: number }

/** What is allowed where nothing else is said. */
export const OUTGOING_LIMITS: OutgoingLimits = { timeoutMs: 10_000, bodyMax: 2 * 1024 * 1024, redirectsMax: 3 }

/** Makes one call. @throws OutgoingError whatever the server, the network or the one who waits does. */
export type Call = (request: Outgoing, limits?: Partial<OutgoingLimits>, signal?: AbortSignal) => Promise<Incoming>

/** Finds all addresses of a name. */
export type Lookup = (host: string) => Promise<LookupAddress[]>

/**
 * Why a call could not be made or was cut off. `refused-target`: we do not send this, or not there; `unreachable`: the
 * name, the connection, its certificate or the answer's form failed. The message is a sentence for people; it names the
 * host, and neither the path, which may hold a secret, nor anything of what was sent.
 */
export class OutgoingError extends Error {
  readonly kind: 'refused-target' | 'redirect' | 'timeout' | 'too-large' | 'unreachable' | 'aborted'

  constructor (kind: OutgoingError['kind'], sentence: string) {
    super(sentence)
    this.name = 'OutgoingError'
    this.kind = kind
  }
}

const HEADERS_MAX = 16 * 1024
/** Answers of the kind "wait" (1xx) before the real one. */
const INFORMATIONAL_MAX = 8
/** Where a name has several addresses, the next is tried after this, ms; Node's own 250 gives up on far servers. */
const ATTEMPT_MS = 1_000
/** Headers that belong to the connection; `host` would also decide whose certificate is asked for. */
const OWN_HEADERS = /^(host|connection|content-length|transfer-encoding|expect|upgrade)$/i
/** Control characters, which `URL` drops without a word. */
const CONTROLS = /\p{Cc}/u
const REDIRECTS = [301, 302, 303, 307, 308]

type MayReach = (address: string) => boolean
type Decoder = (encoded: InputType, options: ZlibOptions) => Promise<Uint8Array>
const DECODERS = new Map<string, Decoder>([
  ['gzip', promisify<InputType, ZlibOptions, Uint8Array>(gunzip)],
  ['x-gzip', promisify<InputType, ZlibOptions, Uint8Array>(gunzip)],
  ['br', promisify<InputType, ZlibOptions, Uint8Array>(brotliDecompress)],
  ['deflate', promisify<InputType, ZlibOptions, Uint8Array>(inflate)]
])

/**
 * Opens the way out. Every hop resolves its host once, refuses it unless all of its addresses are public (or
 * `allowPrivate`), and connects to those addresses only, on a connection of its own: a name that answers otherwise a
 * moment later changes nothing. Redirects stay on the same host and port and never leave https; http may become https.
 * No cookies, no proxies. The system's resolver cannot be interrupted: a call is cut off in time, its look-up ends later.
 * @param lookup how names are resolved; the system's way, unless a test has names of its own.
 */
export function openOutgoing ({ allowPrivate, lookup = host => dns.lookup(host, { all: true }) }: {
  allowPrivate: boolean, lookup?: Lookup
}): Call {
  const mayReach: MayReach = address => allowPrivate || isPublicAddress(address)

  async function follow (request: Outgoing, { bodyMax, redirectsMax }: OutgoingLimits, signal: AbortSignal): Promise<Incoming> {
    checkHeaders(request.headers)
    let url = readTarget(request.url)
    for (let redirectCount = 0; ; redirectCount++) {
      const addresses = await resolve(url, lookup, mayReach)
      signal.throwIfAborted()
      const response = await send(url, request, addresses, mayReach, signal)
      try {
        const next = request.method === 'GET' ? nextHop(url, response) : undefined
        if (next === undefined) return await receive(url, response, bodyMax)
        if (redirectCount === redirectsMax) throw new OutgoingError('redirect', `${url.host} redirects more than ${redirectsMax} times.`)
        url = next
      } finally {
        response.destroy()
      }
    }
  }

  return async (request, limits = {}, signal) => {
    const all = { ...OUTGOING_LIMITS, ...limits }
    const cut = new AbortController()
    const cutOff = new Promise<never>((_resolve, reject) => {
      cut.signal.addEventListener('abort', () => reject(cut.signal.reason))
    })
    const abort = () => cut.abort(new OutgoingError('aborted', 'The call was given up.'))
    const timer = setTimeout(() => {
      cut.abort(new OutgoingError('timeout', `The answer was not complete after ${all.timeoutMs / 1_000} s.`))
    }, all.timeoutMs)
    signal?.addEventListener('abort', abort)
    if (signal?.aborted === true) abort()
    try {
      return await Promise.race([cutOff, follow(request, all, cut.signal)])
    } catch (error) {
      throw cut.signal.aborted ? cut.signal.reason : explain(error, request.url)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }
}

function checkHeaders (headers: Record<string, string>): void {
  for (const [name, value] of Object.entries(headers)) {
    try {
      http.validateHeaderName(name)
      http.validateHeaderValue(name, value)
    } catch {
      throw new OutgoingError('refused-target', 'A header has characters that headers cannot carry.')
    }
    if (OWN_HEADERS.test(name)) throw new OutgoingError('refused-target', `The header "${name}" belongs to the connection.`)
  }
}

function readTarget (text: string): URL {
  if (CONTROLS.test(text) || !URL.canParse(text)) throw new OutgoingError('refused-target', 'The address is not a URL.')
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new OutgoingError('refused-target', 'Only http: and https: addresses can be called.')
  }
  if (url.username !== '' || url.password !== '') throw new OutgoingError('refused-target', 'The URL must not hold a user or a password.')
  url.hash = ''
  return url
}

async function resolve (url: URL, lookup: Lookup, mayReach: MayReach): Promise<LookupAddress[]> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const family = isIP(host)
  const addresses = family === 0 ? await lookup(host) : [{ address: host, family }]
  if (addresses.length === 0) throw new OutgoingError('unreachable', `${url.host} has no address.`)
  if (!addresses.every(({ address }) => mayReach(address))) {
    throw new OutgoingError('refused-target', `${url.host} is not, or not only, a public address.`)
  }
  return addresses
}

/** Resolves with the answer's head; its body is still to come. */
function send (
  url: URL, { method, headers, body }: Outgoing, addresses: LookupAddress[], mayReach: MayReach, signal: AbortSignal
): Promise<IncomingMessage> {
  const options: RequestOptions & { autoSelectFamilyAttemptTimeout: number } = {
    method,
    headers: method === 'GET' ? { 'accept-encoding': 'gzip, br', ...lowerNames(headers) } : headers,
    agent: false,
    lookup: pinTo(addresses),
    autoSelectFamilyAttemptTimeout: ATTEMPT_MS,
    maxHeaderSize: HEADERS_MAX,
    rejectUnauthorized: true,   // whatever NODE_TLS_REJECT_UNAUTHORIZED says
    signal
  }
  return new Promise((resolve, reject) => {
    const call = (url.protocol === 'https:' ? https : http).request(url, options)
    let informationalCount = 0
    call.on('information', () => {
      if (++informationalCount > INFORMATIONAL_MAX) call.destroy(new OutgoingError('too-large', `${url.host} answers without end.`))
    })
    // Heard before anything is written, TLS's greeting too: nothing is sent to where the connection should not have gone.
    call.on('socket', socket => socket.prependOnceListener('connect', () => {
      if (!mayReach(socket.remoteAddress ?? '')) {
        call.destroy(new OutgoingError('refused-target', `The connection to ${url.host} did not end at a public address.`))
      }
    }))
    call.on('error', reject)
    call.on('response', resolve)
    // An answer that changes the protocol (101) ends here, with neither of the two.
    call.on('close', () => reject(new OutgoingError('unreachable', `${url.host} does not speak HTTP.`)))
    call.end(body)
  })
}

function lowerNames (headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

/** A resolver that knows only these addresses. Node asks for all of them where it may try one after the other. */
function pinTo (addresses: LookupAddress[]): LookupFunction {
  return (_host, { all }, callback) => {
    if (all === true) callback(null, addresses)
    else callback(null, addresses[0]!.address, addresses[0]!.family)
  }
}

/** Where a redirect leads; undefined when the answer is none. */
function nextHop (url: URL, { statusCode = 0, headers: { location } }: IncomingMessage): URL | undefined {
  if (!REDIRECTS.includes(statusCode) || location === undefined) return undefined
  if (!URL.canParse(location, url.href)) throw new OutgoingError('redirect', `${url.host} redirects to what is not a URL.`)
  const next = readTarget(new URL(location, url).href)
  const isUpgrade = url.protocol === 'http:' && next.protocol === 'https:' && url.host === next.host && url.port === ''
  if (next.origin !== url.origin && !isUpgrade) {
    throw new OutgoingError('redirect', `${url.host} redirects to ${next.origin}, and redirects are followed on the same host only.`)
  }
  return next
}

async function receive (url: URL, response: IncomingMessage, bodyMax: number): Promise<Incoming> {
  const { 'set-cookie': _cookies, ...rest } = response.headers
  const headers = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, String(value)]))
  const tooLarge = () => new OutgoingError('too-large', `The answer of ${url.host} is longer than ${bodyMax} bytes.`)
  const chunks: Uint8Array[] = []
  let byteCount = 0
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    byteCount += chunk.byteLength
    if (byteCount > bodyMax) throw tooLarge()
    chunks.push(chunk)
  }
  const encoded = Buffer.concat(chunks)
  const encoding = headers['content-encoding']?.trim().toLowerCase() ?? ''
  if (byteCount === 0 || encoding === '' || encoding === 'identity') {
    return { status: response.statusCode ?? 0, headers, body: encoded, url: url.href }
  }
  const decode = DECODERS.get(encoding)
  if (decode === undefined) throw new OutgoingError('unreachable', `${url.host} answers in an encoding that was not asked for.`)
  const body = await decode(encoded, { maxOutputLength: bodyMax }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge()
    throw new OutgoingError('unreachable', `The answer of ${url.host} cannot be decoded (${error.code}).`)
  })
  return { status: response.statusCode ?? 0, headers, body, url: url.href }
}

/** Of an error of Node's only the code is told: the rest may hold addresses, or bytes of the answer. What has none is ours. */
function explain (error: unknown, text: string): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (error instanceof OutgoingError || code === undefined) return error
  const { host } = new URL(text)
  if (code === 'HPE_HEADER_OVERFLOW') return new OutgoingError('too-large', `The headers of ${host} are longer than ${HEADERS_MAX} bytes.`)
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return new OutgoingError('unreachable', `The name ${host} was not found (${code}).`)
  if (/CERT|TLS|SSL|SIGNATURE/.test(code)) return new OutgoingError('unreachable', `The connection to ${host} is not secure (${code}).`)
  return new OutgoingError('unreachable', `${host} cannot be reached, or does not speak HTTP (${code}).`)
}
