// What is said of a service in one line: its state, and how fresh that is.
import { serviceStateOf } from './curves.ts'
import { MINUTE_MS } from './time.ts'
import type { OutageState, ServiceState } from './vocabulary.ts'

/** Hours that the detector must have learnt before a calm service is called operational. */
const LEARNT_HOURS_MIN = 2
const FRESH_MS = 3 * MINUTE_MS

/** What is known of a service at one moment; instants in ms. */
export interface Standing {
  judgedUntil: number | undefined
  learntHours: number
  /** It has a counted report in the last 24 hours. */
  speaks: boolean
  openOutage: { state: OutageState, since: number } | undefined
  /** When its last outage ended. */
  lastEnd: number | null
}

/** How old our judgement may be and still be called current, ms: 180 s, and five real seconds on a fast clock. */
export function freshMs (speed: number): number {
  return Math.max(FRESH_MS, 5_000 * speed)
}

/** The state to tell and since when; `operational` only when enough is known to say so. */
export function stateOf (standing: Standing, freshForMs: number, now: Date): { state: ServiceState, since: number | null } {
  const { openOutage, judgedUntil, learntHours, speaks, lastEnd } = standing
  if (openOutage !== undefined) {
    const state = serviceStateOf(openOutage.state)
    if (state !== undefined) return { state, since: openOutage.since }
  }
  const fresh = judgedUntil !== undefined && now.getTime() - judgedUntil <= freshForMs
  if (!fresh || learntHours < LEARNT_HOURS_MIN || !speaks) return { state: 'unknown', since: null }
  return { state: 'operational', since: lastEnd }
}

/** Whether our word is current, and if not how old it is: an open outage may be stale as well. */
export function freshnessOf (judgedUntil: number | undefined, freshForMs: number, now: Date): { state: 'current' | 'stale', age_s: number | null } {
  if (judgedUntil === undefined) return { state: 'stale', age_s: null }
  const ageMs = now.getTime() - judgedUntil
  return ageMs <= freshForMs ? { state: 'current', age_s: null } : { state: 'stale', age_s: Math.floor(ageMs / 1000) }
}
