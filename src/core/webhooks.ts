// What is decided about webhooks: who wants which news, what is sent, and what an answer means (Standard Webhooks).
// Who sends it, and when, stands in jobs/deliver.
import { at, DAY_MS } from './time.ts'
import type { NewsType } from './vocabulary.ts'

/**
 * How long each attempt waits after the one before, s: the example schedule of Standard Webhooks (spec/standard-webhooks.md,
 * "Deliverability and reliability"); together three days and four hours.
 */
export const RETRY_LADDER_S: readonly number[] = [0, 5, 5 * 60, 30 * 60, 2 * 3_600, 5 * 3_600, 10 * 3_600, 14 * 3_600, 20 * 3_600, 24 * 3_600]
/** As long as one news is tried, ms: a webhook that took nothing for this long is switched off. */
export const LADDER_MS = RETRY_LADDER_S.reduce((sum, waitS) => sum + waitS, 0) * 1_000
/** A wait is up to this share longer by chance, so that those who failed together do not come back together. */
export const JITTER = 0.1
/** A secret that was replaced signs along this long, ms. */
export const ROTATION_MS = DAY_MS
/** Bytes of a secret (Standard Webhooks: 192 to 512 bits). */
export const SECRET_BYTES_MIN = 24
export const SECRET_BYTES_MAX = 64

/** The receiver is gone, by its own word. */
const GONE = 410
/** The receiver, or what stands before it, has too much to do. */
const BUSY: readonly number[] = [429, 502, 503, 504]

/** What came back; `retryAfterS`: of its Retry-After. Undefined stands for no answer at all. */
export interface Answer { status: number, retryAfterS?: number | undefined }

/** What becomes of a delivery after an attempt. */
export type Outcome =
  | { state: 'delivered' }
  | { state: 'pending', nextAt: Date }
  | { state: 'failed', why: 'gone' | 'exhausted' }

/**
 * What an attempt's answer means: 2xx is delivered, 410 ends everything, anything else is tried again after the next wait
 * of the ladder. Who is busy (429, 502, 503, 504) is waited for as long as it asks, though no less than the ladder's wait
 * and no more than the one after it; that one when it does not say.
 * @param rung how many attempts of the ladder were made, this one included: from 1.
 * @param chance from 0 to 1.
 */
export function judgeAnswer (answer: Answer | undefined, rung: number, chance: number, now: Date): Outcome {
  if (answer !== undefined && answer.status >= 200 && answer.status < 300) return { state: 'delivered' }
  if (answer?.status === GONE) return { state: 'failed', why: 'gone' }
  const waitS = RETRY_LADDER_S[rung]
  if (waitS === undefined) return { state: 'failed', why: 'exhausted' }
  const longestS = RETRY_LADDER_S[rung + 1] ?? waitS
  const askedS = answer !== undefined && BUSY.includes(answer.status) ? answer.retryAfterS ?? longestS : waitS
  const jittered = Math.min(Math.max(askedS, waitS), longestS) * (1 + JITTER * chance)
  return { state: 'pending', nextAt: new Date(now.getTime() + Math.round(jittered * 1_000)) }
}

/** The seconds of a Retry-After, which may be an instant (RFC 9110 §10.2.3); undefined when it says neither. */
export function readRetryAfter (text: string | undefined, now: Date): number | undefined {
  if (text === undefined) return undefined
  if (/^\d{1,9}$/.test(text.trim())) return Number(text)
  const instant = /^[A-Z][a-z]{2}, .*GMT$/.test(text.trim()) ? Date.parse(text) : NaN
  return Number.isNaN(instant) ? undefined : Math.max(0, Math.ceil((instant - now.getTime()) / 1_000))
}

/** Whether a webhook asked for such news. `services`: slugs, null for all. */
export function wantsNews (
  { events, services }: { events: readonly NewsType[], services: readonly string[] | null }, { type, service }: { type: NewsType, service: string }
): boolean {
  return events.includes(type) && (services === null || services.includes(service))
}

/** The body that tells a news: the same bytes at every attempt. @param data JSON, told as it was written. */
export function writePayload ({ type, at: instant, data }: { type: NewsType, at: Date, data: string }): string {
  return `{"type":${JSON.stringify(type)},"timestamp":${JSON.stringify(at(instant))},"data":${data}}`
}

/** Whether a text is a secret as Standard Webhooks writes it: `whsec_` and, in base64, 24 to 64 bytes. */
export function isSecret (text: string): boolean {
  const [, base64] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? []
  if (base64 === undefined) return false
  const bytes = Buffer.from(base64, 'base64')
  return bytes.toString('base64') === base64 && bytes.byteLength >= SECRET_BYTES_MIN && bytes.byteLength <= SECRET_BYTES_MAX
}
