import { Redis } from 'ioredis'
import type { BaseLogger } from 'pino'

/** Longest wait for an answer of Redis, ms; whoever waits then goes on without it. */
const ANSWER_TIMEOUT_MS = 200
const CONNECT_TIMEOUT_MS = 1_000
/** One that says nothing for this long, ms, is taken as lost: until it is ready again nobody waits for it at all. */
const SILENCE_MAX_MS = 400
const RETRY_AFTER_MAX_MS = 1_000

/**
 * Opens the Redis that several instances count in. It is never waited for: a command fails at once while there is no
 * connection and after 200 ms while it hangs, and those who count then count in memory.
 */
export async function openRedis (url: string, logger: Pick<BaseLogger, 'info' | 'warn'>): Promise<Redis> {
  const redis = new Redis(url, {
    lazyConnect: true,
    enableOfflineQueue: false,
    enableAutoPipelining: true,
    maxRetriesPerRequest: 0,
    commandTimeout: ANSWER_TIMEOUT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_MAX_MS,
    retryStrategy: attempts => Math.min(100 * attempts, RETRY_AFTER_MAX_MS)
  })
  let told: 'ready' | 'lost' | undefined
  const tell = (state: 'ready' | 'lost') => {
    if (told === state) return
    told = state
    if (state === 'ready') logger.info('counting in Redis')
    else logger.warn('Redis does not answer: this instance counts for itself, in memory')
  }
  redis.on('ready', () => tell('ready'))
  redis.on('close', () => tell('lost'))
  // Each error also ends the connection, which is told above; without a listener the library prints it.
  redis.on('error', () => {})
  await redis.connect().catch(() => tell('lost'))
  return redis
}
