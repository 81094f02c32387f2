// How often one address may ask.
import { isIPv4 } from 'node:net'
import type { FastifyInstance } from 'fastify'
import ipaddr from 'ipaddr.js'
import { Fault } from '../core/faults.ts'

/** Requests that one address (IPv6: its /64) may make in a window. */
export interface Limit { max: number, windowS: number }

/** Addresses whose counters are held at most. */
const ADDRESSES_HELD_MAX = 50_000

/**
 * Limits the requests of every route of `app`, and says so in the `RateLimit` fields of draft-ietf-httpapi-ratelimit-headers-10.
 * The window is everybody's, so at its end all addresses are forgotten at once.
 */
export function limitRequests (app: FastifyInstance, name: string, { max, windowS }: Limit): void {
  const count = openCounts(windowS * 1_000)
  const policy = `"${name}";q=${max};w=${windowS}`
  app.addHook('onRequest', (request, reply, done) => {
    const now = performance.now()
    const { requests, endsAt } = count(counterOf(request.ip ?? ''), now)
    const resetS = Math.max(1, Math.ceil((endsAt - now) / 1_000))
    reply.header('ratelimit-policy', policy)
    reply.header('ratelimit', `"${name}";r=${Math.max(0, max - requests)};t=${resetS}`)
    if (requests <= max) return done()
    done(new Fault('rate-limited', `More than ${max} requests in ${windowS} s came from your address; try again in ${resetS} s.`, { retryAfterS: resetS }))
  })
}

/** Counts by key in windows of `widthMs` from the first count on; of more keys than `heldMax` those longest unseen are forgotten. */
export function openCounts (widthMs: number, heldMax = ADDRESSES_HELD_MAX): (key: string, now: number) => { requests: number, endsAt: number } {
  let endsAt = 0
  // Two halves: when the recent one is full it becomes the older one, whose keys come back as they are seen again.
  let recent = new Map<string, number>()
  let older = recent
  return (key, now) => {
    if (now >= endsAt) {
      endsAt = now + widthMs
      recent = older = new Map()
    }
    const requests = (recent.get(key) ?? older.get(key) ?? 0) + 1
    if (recent.size >= heldMax / 2) {
      older = recent
      recent = new Map()
    }
    recent.set(key, requests)
    return { requests, endsAt }
  }
}

/** What an address is counted as: an IPv6 one as its /64, since that is the least that anybody is given. */
function counterOf (address: string): string {
  if (isIPv4(address)) return address
  if (!ipaddr.isValid(address)) return 'unknown'
  const parsed = ipaddr.process(address)
  return parsed.kind() === 'ipv4' ? parsed.toString() : parsed.toByteArray().slice(0, 8).join('.')
}
