// Counters of requests, for limits: in this process's memory or, where several instances share their limits, in Redis.
import { randomBytes } from 'node:crypto'
import rateLimit from '@fastify/rate-limit'
// @ts-expect-error The plugin ships its stores without types; each has `incr`.
import LocalStore from '@fastify/rate-limit/store/LocalStore.js'
// @ts-expect-error See above.
import RedisStore from '@fastify/rate-limit/store/RedisStore.js'
import type { Redis } from 'ioredis'
import { openKeyedHash, type KeyedHash } from '../ingest/hashes.ts'

/** Where several instances count together, and the hash that hides the addresses there: under the salt of the day. */
export interface Shared { redis: Redis, hash: () => KeyedHash | Promise<KeyedHash> }

/** How many requests were counted under a key, and for how long yet, ms. */
export interface Counted { current: number, ttl: number }

/** Told of a count; at once where the counters are in memory. */
type Done = (error: Error | null, counted: Counted) => void

/** Counts one more request. */
export interface Counters {
  /** Of an address; of IPv6 its /64 counts as one. */
  countAddress: (address: string, windowMs: number, max: number, done: Done) => void
  /** Of all addresses together. */
  countAll: (windowMs: number, max: number, done: Done) => void
}

interface Store { incr: (key: string, done: Done, windowMs: number, max: number) => void }

/** A /64 is what one customer is given (RFC 6177 §2). */
const IPV6_SUBNET = 64

/** What an address is counted as. That IPv4 is no IPv6 the plugin finds out by a pattern, which costs more than the count. */
export function networkOf (address: string): string {
  return address.includes(':') ? rateLimit.normalizeIP(address, IPV6_SUBNET) : address
}

/**
 * The counters of one limit. The plugin's own hook counts by way of three promises a request, which cost a report more than
 * its hashes: its stores are asked here without them.
 * @param held counters in memory at most; the ones longest unseen are forgotten.
 */
export function openCounters (name: string, held: number, shared: Shared | undefined): Counters {
  const own: Store = new LocalStore(false, false, held)
  const all = `all ${name}`
  if (shared === undefined) {
    return {
      countAddress: (address, windowMs, max, done) => { own.incr(networkOf(address), done, windowMs, max) },
      countAll: (windowMs, max, done) => { own.incr(all, done, windowMs, max) }
    }
  }
  const store = shareCounters(shared, name, own)
  const keyOf = keyIn(shared)
  return {
    countAddress (address, windowMs, max, done) {
      keyOf(address).then(key => { store.incr(key, done, windowMs, max) }, done as (error: Error) => void)
    },
    countAll: (windowMs, max, done) => { store.incr(all, done, windowMs, max) }
  }
}

/**
 * A store that counts in Redis and, whenever Redis does not answer, in this process's memory. So a limit fails neither open
 * (nobody would be limited) nor closed (nobody could report on the day that Redis breaks): each instance then allows its
 * own share.
 */
function shareCounters ({ redis }: Shared, name: string, own: Store): Store {
  const store: Store = new RedisStore(false, false, redis, `groundswell:limit:${name}:`)
  return {
    incr (key, done, windowMs, max) {
      store.incr(key, (error, counted) => {
        if (error === null) done(null, counted)
        else own.incr(key, done, windowMs, max)
      }, windowMs, max)
    }
  }
}

/**
 * The key under which an address is counted in Redis: hashed. Without today's salt, while the database is gone, it is
 * counted in the clear in nobody's sight: under a key of this process's.
 */
function keyIn ({ hash }: Shared): (address: string) => Promise<string> {
  const own = openKeyedHash(randomBytes(32))
  return async address => {
    const hashed = await Promise.resolve(hash()).catch(() => own)
    return hashed(['limit', networkOf(address)])
  }
}
