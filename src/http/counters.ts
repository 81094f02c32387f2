// Requests counted in Redis, for limits that several instances share.
import rateLimit, { type FastifyRateLimitStoreCtor } from '@fastify/rate-limit'
// @ts-expect-error The plugin ships its stores without types; each has `incr` and `child`.
import LocalStore from '@fastify/rate-limit/store/LocalStore.js'
// @ts-expect-error See above.
import RedisStore from '@fastify/rate-limit/store/RedisStore.js'
import type { FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'
import type { KeyedHash } from '../ingest/hashes.ts'

/** Where several instances count together, and the hash that hides the addresses there: under the salt of the day. */
export interface Shared { redis: Redis, hash: () => KeyedHash | Promise<KeyedHash> }

type Counted = (error: Error | null, counted?: { current: number, ttl: number }) => void
interface Store {
  incr: (key: string, done: Counted, windowMs: number, max: number) => void
  child: (options: object) => Store
}
type Settings = ConstructorParameters<FastifyRateLimitStoreCtor>[0]

/**
 * A store of the plugin's that counts in Redis and, whenever Redis does not answer, in this process's memory. So a limit
 * fails neither open (nobody would be limited) nor closed (nobody could report on the day that Redis breaks): each
 * instance then allows its own share.
 * @param held counters in memory at most.
 */
export function shareCounters ({ redis }: Shared, name: string, held: number): FastifyRateLimitStoreCtor {
  return class implements Store {
    readonly #shared: Store
    readonly #own: Store

    constructor (_settings: Settings, stores?: { shared: Store, own: Store }) {
      this.#shared = stores?.shared ?? new RedisStore(false, false, redis, `groundswell:limit:${name}:`)
      this.#own = stores?.own ?? new LocalStore(false, false, held)
    }

    incr (key: string, done: Counted, windowMs: number, max: number): void {
      this.#shared.incr(key, (error, counted) => {
        if (error === null) done(null, counted)
        else this.#own.incr(key, done, windowMs, max)
      }, windowMs, max)
    }

    child (): Store {
      // A limit of all requests together: its key tells it apart.
      return this
    }
  } as unknown as FastifyRateLimitStoreCtor
}

/**
 * The key under which a request is counted: its address (IPv6: the /64), hashed. Without today's salt, while the database
 * is gone, it is counted in the clear in nobody's sight: under a key of this process's.
 */
export function keyIn ({ hash }: Shared, own: KeyedHash): (request: FastifyRequest) => Promise<string> {
  return async request => {
    const address = rateLimit.normalizeIP(request.ip)
    const hashed = await Promise.resolve(hash()).catch(() => own)
    return hashed(['limit', address])
  }
}
