/** One minute in ms: the grain of every stored time. */
export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS

/** The domain's time. Everything that counts, dates or judges asks it; time-outs and limits do not. */
export interface Clock {
  now: () => Date
  /** Domain seconds in a real second: 1, or more in a demonstration. */
  speed: number
}

/** The start of the epoch-aligned window of `widthMs` that holds `at` (both ms since the epoch). */
export function floorTo (at: number, widthMs: number): number {
  return Math.floor(at / widthMs) * widthMs
}

/** The UTC day of an instant, `2026-01-31`. */
export function dayOf (at: number): string {
  return new Date(at).toISOString().slice(0, 10)
}

/**
 * How long after its minute's end a report still counts as seen, ms: 10 s, and a real second on a fast clock.
 * What is not late is committed within 5 s (the statement's time-out), so before the minute is judged.
 */
export function lateAfterMs (speed: number): number {
  return Math.max(10_000, 1_000 * speed)
}

/** How long after its end a minute is judged, ms: JUDGE_GRACE_S = 20 s, and two real seconds on a fast clock. */
export function judgeGraceMs (speed: number): number {
  return Math.max(20_000, 2_000 * speed)
}

/** How long after its begin a minute may still get its mark as watched, ms: two real ticks of what makes the marks. */
export function markLagMs (speed: number): number {
  return 2_000 * speed
}

/** An instant as it is told: RFC 3339 in UTC, to the second unless it has a fraction. */
export function at (instant: Date): string {
  return instant.toISOString().replace('.000Z', 'Z')
}

/** The same, for those that may be missing. */
export function atOrNull (instant: Date | null): string | null {
  return instant === null ? null : at(instant)
}
