// Who may come in, how often, and in which language they are answered.
import { createHash, timingSafeEqual } from 'node:crypto'
import '@fastify/accepts'
import proxyAddr from '@fastify/proxy-addr'
import type { FastifyInstance, FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'
import { withoutPort } from '../core/addresses.ts'
import { Fault } from '../core/faults.ts'
import type { TokenScope } from '../core/vocabulary.ts'
import type { Db } from '../db/client.ts'
import { findToken, touchToken } from '../db/tokens.ts'
import { openCounters, type Counters, type Shared } from './counters.ts'

/** Requests that one address (IPv6: its /64) may make in a window. */
export interface Limit { max: number, windowS: number }

/** Addresses whose counters are held at most; the ones longest unseen are forgotten. */
const ADDRESSES_HELD_MAX = 50_000

/**
 * Limits the requests of every route that `app` gets from now on, and says so in `RateLimit` headers.
 * @param shared counts together with other instances; without it in this process's memory.
 * @param total a limit of all addresses together, beside that of each.
 */
export function limitRequests (app: FastifyInstance, name: string, { max, windowS }: Limit, shared: Shared | undefined, total?: Limit): void {
  const counters = openCounters(name, ADDRESSES_HELD_MAX, shared)
  const policy = `"${name}";q=${max};w=${windowS}`
  const limit = (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => {
    counters.countAddress(addressOf(request), windowS * 1_000, max, (error, counted) => {
      if (error !== null) return done(error)
      const { current, ttl } = counted
      reply.header('ratelimit-policy', policy).header('ratelimit', `"${name}";r=${Math.max(0, max - current)};t=${Math.ceil(ttl / 1_000)}`)
      done(current > max ? tooMany(ttl, retryAfterS => `More than ${max} requests in ${windowS} s came from your address; try again in ${retryAfterS} s.`) : undefined)
    })
  }
  app.addHook('onRoute', route => {
    const hooks = [route.onRequest ?? []].flat()
    // A GET's HEAD comes with the hooks of its GET.
    if (!hooks.includes(limit)) route.onRequest = [...hooks, limit]
  })
  if (total !== undefined) limitTotal(app, counters, total)
}

/** Counts all requests of a scope together; after the limit of each address, so that one alone cannot use it up. */
function limitTotal (app: FastifyInstance, { countAll }: Counters, { max, windowS }: Limit): void {
  app.addHook('preParsing', (_request, _reply, payload, done) => {
    countAll(windowS * 1_000, max, (error, counted) => {
      if (error !== null) return done(error)
      done(counted.current > max ? tooMany(counted.ttl, retryAfterS => `More than ${max} reports in ${windowS} s came in together; try again in ${retryAfterS} s.`) : null, payload)
    })
  })
}

function tooMany (ttlMs: number, tell: (retryAfterS: number) => string): Fault {
  const retryAfterS = Math.max(1, Math.ceil(ttlMs / 1000))
  return new Fault('rate-limited', tell(retryAfterS), { retryAfterS })
}

/**
 * Whether an address is that of a proxy which is believed. The answer about the one asked about last is kept: nearly all
 * requests come through one proxy, and to read its address anew cost as much as the request's JSON.
 */
export function trustProxies (cidrs: readonly string[]): (address: string, hop: number) => boolean {
  const compiled = proxyAddr.compile([...cidrs])
  let last: { address: string, trusted: boolean } | undefined
  return (address, hop) => {
    if (last?.address !== address) last = { address, trusted: compiled(address, hop) }
    return last.trusted
  }
}

/** Whether it is known who is at the other end: not of a connection that was reset before anybody looked. */
export function isFromSomewhere ({ raw: { socket } }: FastifyRequest): boolean {
  return socket.remoteAddress !== undefined
}

/** Where a request comes from, as its network or a proxy that is believed says; nothing if it does not come from somewhere. */
export function addressOf (request: FastifyRequest): string {
  return withoutPort((request.ip as string | undefined) ?? '')
}

const TOKEN = /^[Bb][Ee][Aa][Rr][Ee][Rr] +gsw_([a-z0-9]{1,32})_([A-Za-z0-9_-]{1,128})$/

/**
 * Lets a request pass whose bearer token has the scope (undefined: any), before its body is read; the token's id.
 * @throws Fault `unauthorized`, in the same words for every reason, or `forbidden`.
 */
export async function checkToken (db: Db, request: FastifyRequest, scope: TokenScope | undefined, now: Date): Promise<string> {
  const { headers: { authorization = '' }, raw: { rawHeaders } } = request
  // Of two Authorization headers Node tells the first; who stands in front may have gone by the second.
  const once = rawHeaders.filter((name, place) => place % 2 === 0 && /^authorization$/i.test(name)).length === 1
  const [, id = '', secret = ''] = (once && TOKEN.exec(authorization)) || []
  const token = id === '' ? undefined : await findToken(db, id)
  // Hashing and comparing also when there is no such token: the time it takes tells nothing.
  const matches = timingSafeEqual(hashSecret(secret), token?.secretHash ?? NO_HASH)
  if (token === undefined || !matches || token.revokedAt !== null || (token.expiresAt !== null && token.expiresAt <= now)) {
    throw new Fault('unauthorized', 'This call needs a valid bearer token.')
  }
  if (scope !== undefined && !token.scopes.includes(scope) && !token.scopes.includes('admin')) {
    throw new Fault('forbidden', `This call needs a token with the scope "${scope}".`)
  }
  await touchToken(db, token, now)
  return id
}

/** What of a token's secret is stored; the secret itself is 256 random bits, so one round is enough. */
export function hashSecret (secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

const NO_HASH = Buffer.alloc(32)

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The media types that a route can answer with, the preferred one first; JSON when it does not say, none: whatever. */
    produces?: readonly string[]
    /** True of a call that takes as long as its body does, and keeps its own time. */
    lasting?: boolean
    /** False of a call that no other site's page may make (@fastify/cors). */
    cors?: false
  }
}

const JSON_ONLY = ['application/json'] as const

/** The type to answer with. @throws Fault `not-acceptable` when Accept takes none that the route can send. */
export function negotiate (request: FastifyRequest): string {
  const produces = request.routeOptions.config.produces ?? JSON_ONLY
  const { accept } = request.headers
  if (accept === undefined || accept === '*/*' || accept === produces[0] || produces.length === 0) return produces[0] ?? ''
  // Whoever accepts a type in UTF-8 alone is served as well.
  const type = request.accepts().type(produces.flatMap(type => [type, `${type};charset=utf-8`]))
  if (typeof type !== 'string') throw new Fault('not-acceptable', `This call can answer with ${produces.join(', ')}.`)
  return type.split(';', 1)[0]!
}

/** Refuses what nobody could read or answer, and sets what every answer carries. */
export function dressAnswers (app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-content-type-options', 'nosniff').header('content-security-policy', CONTENT_POLICY)
    refuseUnfit(request, done)
  })
}

function refuseUnfit (request: FastifyRequest, done: HookHandlerDoneFunction): void {
  const { headers, raw: { httpVersion, rawHeaders } } = request
  if (headers.host === undefined && httpVersion === '1.1') return done(new Fault('malformed', 'An HTTP/1.1 request has a Host header.'))
  // Node takes the first of several and drops the others (RFC 9112 §3.2).
  if (countHosts(rawHeaders) > 1) return done(new Fault('malformed', 'A request has one Host header.'))
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') return done(new Fault('unsupported-media-type', 'Send the body without a content encoding.'))
  try {
    if (request.method !== 'OPTIONS' && !request.is404) negotiate(request)
    done()
  } catch (error) {
    done(error as Fault)
  }
}

function countHosts (rawHeaders: readonly string[]): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) if (rawHeaders[i]!.length === 4 && rawHeaders[i]!.toLowerCase() === 'host') count++
  return count
}

/** Gives each answer of `app` that may be kept its ETag, and answers 304 to whoever has it already (RFC 9110 §13.1.2). */
export function tagAnswers (app: FastifyInstance): void {
  app.addHook('onSend', (request, reply, payload, done) => {
    if (reply.statusCode !== 200 || (typeof payload !== 'string' && !Buffer.isBuffer(payload))) return done(null, payload)
    let tag = reply.getHeader('etag') as string | undefined
    if (tag === undefined && typeof payload === 'string') reply.header('etag', tag = tagOf(payload))
    // Only what is held is bytes with a tag; those of the documentation's page have none.
    if (tag === undefined || !hasTag(request.headers['if-none-match'], tag)) return done(null, payload)
    reply.code(304).removeHeader('content-type')
    // What answers HEAD in GET's place still measures it.
    done(null, request.method === 'HEAD' ? payload : null)
  })
}

/** The ETag of an answer. */
export function tagOf (payload: string): string {
  return `"${createHash('sha1').update(payload).digest('base64url')}"`
}

/** Whether If-Match or If-None-Match names a tag: `*` names any, and weak ones are compared like strong ones. */
export function hasTag (given: string | undefined, tag: string): boolean {
  return given !== undefined && (given.trim() === '*' || given.split(',').some(each => each.trim().replace(/^W\//, '') === tag))
}

/** Nothing is loaded and nothing runs; pictures and pages bring their own style. */
const CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
