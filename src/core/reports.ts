// Admission: which minute and interval a report belongs to, whether it is late, and what its id is made of.
// The keys (salts, import key) and the hash itself are ingest's.
import { Fault } from './faults.ts'
import { floorTo, lateAfterMs, MINUTE_MS } from './time.ts'
import type { Impact, Verdict } from './vocabulary.ts'

/** One report as a client or relay sends it, checked. */
export interface ReportInput {
  service: string
  verdict: Verdict
  region?: string | undefined
  deviceClass?: string | undefined
  symptom?: string | undefined
  impact?: Impact | undefined
  comment?: string | undefined
  observedAt?: Date | undefined
  reporter?: string | undefined
}

/** One report as it is stored; instants in ms since the epoch, the enums by their code. */
export interface NewReport {
  serviceId: number
  intervalAt: number
  id: string
  minute: number
  region: string
  deviceClass: string
  verdict: number
  symptom: string | null
  impact: number | null
  /** 32 hex digits; null for an import: the relay answers for its networks. */
  network: string | null
  disposition: number
  /** Why it is quarantined, by code; null when it is not. */
  reason: number | null
  comment: string | null
  /** Of a minute before we began to watch the service: never late. */
  history: boolean
}

/** A reporter adds at most one report per verdict in this time. */
export const INTERVAL_MS = 15 * MINUTE_MS
/** A phone that was offline may report this much later, ms. */
export const OBSERVED_AGE_MAX_MS = 24 * 60 * MINUTE_MS
/** A clock may be this much ahead of ours, ms; it is taken as now. */
export const OBSERVED_AHEAD_MAX_MS = 120_000
/** Counted reports of one network per service and interval; more are quarantined. */
export const NETWORK_VOICES_MAX = 3

/**
 * The minute in which something was observed, ms since the epoch.
 * @throws Fault `invalid` when that is further back than `ageMaxMs` or more than 120 s ahead.
 */
export function observedMinute (observedAt: Date | undefined, ageMaxMs: number, now: Date): number {
  const at = observedAt?.getTime() ?? now.getTime()
  if (at > now.getTime() + OBSERVED_AHEAD_MAX_MS) {
    throw observedFault('lies in the future; at most 120 s ahead of the server\'s clock are taken as now', now)
  }
  if (at < now.getTime() - ageMaxMs) throw observedFault(`is too long ago; at most ${Math.floor(ageMaxMs / 3_600_000)} h back are accepted`, now)
  return floorTo(Math.min(at, now.getTime()), MINUTE_MS)
}

function observedFault (what: string, now: Date): Fault {
  const detail = `observed_at ${what} (it is ${now.toISOString()} now).`
  return new Fault('invalid', detail, { errors: [{ pointer: '/observed_at', detail }] })
}

/** Whether a report whose statement begins at `now` comes too late to be judged; history never does. */
export function isLate (report: { minute: number, history: boolean }, speed: number, now: Date): boolean {
  return !report.history && now.getTime() >= report.minute + MINUTE_MS + lateAfterMs(speed)
}

/** The first 122 bits that fit of 128 (32 hex digits) as a UUIDv8 (RFC 9562 §5.8). */
export function uuid8 (hex: string): string {
  const variant = '89ab'[Number.parseInt(hex[16]!, 16) & 3]
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`
}

const FAMILIES: readonly [RegExp, string][] = [
  [/iPad/, 'ipad'], [/iPhone|iPod/, 'iphone'], [/Android/, 'android'], [/Macintosh|Mac OS|macOS|Darwin/, 'mac'],
  [/Windows/, 'windows'], [/CrOS/, 'chromeos'], [/Linux|X11/, 'linux']
]

/** The platform family a user agent claims: one of eight words, an input to the id and nothing else. */
export function coarseClient (userAgent: string | undefined): string {
  return FAMILIES.find(([pattern]) => pattern.test(userAgent ?? ''))?.[1] ?? 'other'
}
