// Grids and curves: which windows an answer has, what was expected in them, what was a gap, and what state held.
// Instants are ms since the epoch, stretches half open.
import { expectationAt, upperCount, type ScopeExpectation } from './baseline.ts'
import { Fault } from './faults.ts'
import { DAY_MS, floorTo, HOUR_MS, MINUTE_MS } from './time.ts'
import type { OutageState, ServiceState } from './vocabulary.ts'

/** The widths of windows by name, ascending, and for how long each is kept, ms. */
export const WINDOW_WIDTHS = {
  '1m': { widthMs: MINUTE_MS, keptMs: 35 * DAY_MS },
  '5m': { widthMs: 5 * MINUTE_MS, keptMs: 35 * DAY_MS },
  '15m': { widthMs: 15 * MINUTE_MS, keptMs: 35 * DAY_MS },
  '1h': { widthMs: HOUR_MS, keptMs: 2 * 366 * DAY_MS },
  '1d': { widthMs: DAY_MS, keptMs: Infinity }
} as const
export type WindowName = keyof typeof WINDOW_WIDTHS
export const WINDOW_NAMES = ['1m', '5m', '15m', '1h', '1d'] as const satisfies readonly WindowName[]

/**
 * Before this (ms) windows of a width are made wider: whole days, a day after they are last shown, counted from where
 * judging stands, which needs its minutes however late it is. Raw reports, at most 35 days and the one that runs, are gone by then.
 */
export function compactedBefore (name: '1m' | '1h', judgedUntil: number): number {
  return floorTo(judgedUntil - WINDOW_WIDTHS[name].keptMs, DAY_MS) - DAY_MS
}

/** The finest width (ms) that is still kept of the time about `at`. */
export function keptWidth (at: number, now: Date): number {
  if (at >= floorTo(now.getTime() - WINDOW_WIDTHS['1m'].keptMs, HOUR_MS)) return MINUTE_MS
  return at >= floorTo(now.getTime() - WINDOW_WIDTHS['1h'].keptMs, DAY_MS) ? HOUR_MS : DAY_MS
}

/** Windows in one answer at most. */
export const CURVE_WINDOW_MAX = 2_000

/** An even, epoch-aligned grid over `[from, to)`, checked and bounded: holding one is proof of both. */
export interface Grid { from: number, to: number, widthMs: number }

/**
 * `from` floored and `to` ceiled to the window, and cut after the one that is open at `now`.
 * @throws Fault `invalid` when nothing is left, when it has more than CURVE_WINDOW_MAX windows, or when windows this
 *   fine are no longer kept; it names the finest that fits.
 */
export function layGrid (from: Date, to: Date, window: WindowName, now: Date): Grid {
  const { widthMs } = WINDOW_WIDTHS[window]
  const grid = gridOf(from.getTime(), to.getTime(), widthMs, now.getTime())
  // Whoever names no "to" means now, so a later "from" is what they got wrong.
  if (from > now && (from >= to || grid.from >= grid.to)) refuse('/from', `"from" (${from.toISOString()}) lies in the future; it is ${now.toISOString()} now.`)
  if (from >= to) refuse('/from', `"from" (${from.toISOString()}) must lie before "to" (${to.toISOString()}).`)
  if (!fits(window, from.getTime(), to.getTime(), now.getTime())) {
    const finest = WINDOW_NAMES.find(name => fits(name, from.getTime(), to.getTime(), now.getTime()))
    const why = (grid.to - grid.from) / widthMs > CURVE_WINDOW_MAX
      ? `This range has more than ${CURVE_WINDOW_MAX} windows of ${window}`
      : `Windows of ${window} are kept for ${WINDOW_WIDTHS[window].keptMs / DAY_MS} days`
    refuse('/window', finest === undefined
      ? `${why}; no window fits so long a range: ask for less.`
      : `${why}; the finest window that fits is ${finest}.`)
  }
  return grid
}

function gridOf (from: number, to: number, widthMs: number, now: number): Grid {
  const openEnd = floorTo(now, widthMs) + widthMs
  return { from: floorTo(from, widthMs), to: Math.min(-floorTo(-to, widthMs), openEnd), widthMs }
}

function fits (name: WindowName, from: number, to: number, now: number): boolean {
  const { widthMs, keptMs } = WINDOW_WIDTHS[name]
  const grid = gridOf(from, to, widthMs, now)
  return (grid.to - grid.from) / widthMs <= CURVE_WINDOW_MAX && (keptMs === Infinity || grid.from >= floorTo(now - keptMs, widthMs))
}

function refuse (pointer: string, detail: string): never {
  throw new Fault('invalid', detail, { errors: [{ pointer, detail, in: 'query' }] })
}

/** A stretch of time, `[from, to)`. */
export interface Stretch { from: number, to: number }

/** Stretches sorted and merged where they touch or overlap. */
export function mergeStretches (stretches: readonly Stretch[]): Stretch[] {
  const merged: Stretch[] = []
  for (const { from, to } of [...stretches].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1)
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to)
    else merged.push({ from, to })
  }
  return merged
}

/** What two lists of merged stretches have in common. */
export function commonStretches (a: readonly Stretch[], b: readonly Stretch[]): Stretch[] {
  const common: Stretch[] = []
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    const from = Math.max(a[i]!.from, b[j]!.from)
    const to = Math.min(a[i]!.to, b[j]!.to)
    if (from < to) common.push({ from, to })
    if (a[i]!.to < b[j]!.to) i++
    else j++
  }
  return common
}

/** Counts of reports. */
export interface Tally { working: number, degraded: number, down: number }

/** What is known about the time a curve covers. */
export interface Background {
  /** The scope's expectation by the hour's start; an hour without one has no baseline. */
  expectations: ReadonlyMap<number, ScopeExpectation>
  /** Minutes in which somebody could take reports, merged. */
  watched: readonly Stretch[]
  /** What the service's outages said of it, in any order. */
  timeline: readonly { from: number, to: number, state: OutageState }[]
  /** Hours of which the service has any baseline, and up to when it is judged. */
  judgedHours: ReadonlySet<number>
  judgedUntil: number
  /** Minutes from here on may yet be marked as watched: that they are not says nothing. */
  markedUntil: number
}

/** One window of a curve. `expected` and `upper` in down + degraded/2; null where no minute has a baseline. */
export interface Point extends Tally {
  start: number
  expected: number | null
  upper: number | null
  state: ServiceState
  complete: boolean
  gap: boolean
}

/** Stored counts and their background as an even curve: silence as zeros, gaps marked. */
export function fillCurve (stored: readonly (Tally & { start: number })[], grid: Grid, background: Background, now: Date): Point[] {
  const byStart = new Map(stored.map(tally => [tally.start, tally]))
  const points: Point[] = []
  let nextWatched = 0
  for (let start = grid.from; start < grid.to; start += grid.widthMs) {
    const end = start + grid.widthMs
    const begun = Math.min(end, floorTo(now.getTime(), MINUTE_MS) + MINUTE_MS)
    while (nextWatched < background.watched.length && background.watched[nextWatched]!.to <= start) nextWatched++
    const watched: Stretch[] = []
    for (let i = nextWatched; i < background.watched.length && background.watched[i]!.from < begun; i++) {
      watched.push({ from: Math.max(start, background.watched[i]!.from), to: Math.min(begun, background.watched[i]!.to) })
    }
    const tally = byStart.get(start)
    points.push({
      start,
      working: tally?.working ?? 0,
      degraded: tally?.degraded ?? 0,
      down: tally?.down ?? 0,
      ...sumExpectation(background.expectations, watched),
      state: gravestState(background, watched, start, end),
      complete: end <= now.getTime(),
      gap: watched.length === 0 && start < background.markedUntil
    })
  }
  return points
}

/**
 * Σm and the count that is exceeded once in a hundred times, over the minutes of the stretches that have a baseline.
 * φ over several hours is weighted by m. Null when no minute has one.
 */
export function sumExpectation (
  expectations: ReadonlyMap<number, ScopeExpectation>, stretches: readonly Stretch[]
): { expected: number | null, upper: number | null } {
  const sum = sumStretches(expectations, stretches)
  return sum === null ? { expected: null, upper: null } : { expected: sum.m, upper: upperCount(sum.upper, sum.phi) }
}

/** What was expected of a scope in each watched minute of an hour or a day, the same in all: m, m⁺ (down reports a minute), φ. */
export type FlatExpectation = [m: number, upper: number, phi: number]

/** Digits of what is kept: a hundred-thousandth off is nothing beside what a baseline knows. */
const KEPT_DIGITS = 5

/**
 * The expectation that, the same in every minute of the stretches, has their sums. Hours without one share in those of
 * the others, so that the sum over all of the stretches stays. Null when there is none.
 */
export function flattenExpectation (expectations: ReadonlyMap<number, ScopeExpectation>, stretches: readonly Stretch[]): FlatExpectation | null {
  const sum = sumStretches(expectations, stretches)
  if (sum === null) return null
  const minutes = stretches.reduce((total, { from, to }) => total + (to - from) / MINUTE_MS, 0)
  const round = (value: number) => Number(value.toPrecision(KEPT_DIGITS))
  return [round(sum.m / minutes), round(sum.upper / minutes), round(sum.phi)]
}

/** A flat expectation as that of one hour. */
export function expandExpectation ([m, upper, phi]: FlatExpectation): ScopeExpectation {
  return { m: [m, m, m], upper: [upper, upper, upper], phi }
}

function sumStretches (
  expectations: ReadonlyMap<number, ScopeExpectation>, stretches: readonly Stretch[]
): { m: number, upper: number, phi: number } | null {
  let expected = 0
  let plus = 0
  let phiWeighted = 0
  let known = false
  for (const { from, to } of stretches) {
    for (let hour = floorTo(from, HOUR_MS); hour < to; hour += HOUR_MS) {
      const expectation = expectations.get(hour)
      if (expectation === undefined) continue
      const part = sumMinutes(expectation, (Math.max(from, hour) - hour) / MINUTE_MS, (Math.min(to, hour + HOUR_MS) - hour) / MINUTE_MS)
      expected += part.m
      plus += part.upper
      phiWeighted += part.m * expectation.phi
      known = true
    }
  }
  return known ? { m: expected, upper: plus, phi: expected > 0 ? phiWeighted / expected : 1 } : null
}

/** One scope's expectations by hour, out of what was read of several. */
export function expectationsOf (
  hours: readonly { hour: number, scopes: Record<string, ScopeExpectation | null> }[], scopeKey: string
): Map<number, ScopeExpectation> {
  return new Map(hours.flatMap(({ hour, scopes }) => scopes[scopeKey] == null ? [] : [[hour, scopes[scopeKey]] as const]))
}

function sumMinutes (expectation: ScopeExpectation, from: number, to: number): { m: number, upper: number } {
  if (from === 0 && to === 60) {
    // Two linear halves of thirty minutes, each minute read at its middle.
    const whole = ([a, b, c]: readonly [number, number, number]) => 15 * (a + 2 * b + c)
    return { m: whole(expectation.m), upper: whole(expectation.upper) }
  }
  let m = 0
  let upper = 0
  for (let minute = from; minute < to; minute++) {
    const at = expectationAt(expectation, minute)
    m += at.m
    upper += at.upper
  }
  return { m, upper }
}

const GRAVITY: readonly ServiceState[] = ['operational', 'recovering', 'suspected', 'outage']
const SAID: Partial<Record<OutageState, ServiceState>> = { suspected: 'suspected', confirmed: 'outage', recovering: 'recovering' }

/** What an open outage's state makes of its service's; undefined when closed. */
export function serviceStateOf (state: OutageState): ServiceState | undefined {
  return SAID[state]
}

function gravestState (background: Background, watched: readonly Stretch[], start: number, end: number): ServiceState {
  let gravest = -1
  for (const { from, to, state } of background.timeline) {
    if (from < end && to > start) gravest = Math.max(gravest, GRAVITY.indexOf(SAID[state] ?? 'operational'))
  }
  if (gravest > 0) return GRAVITY[gravest]!
  const judged = commonStretches(watched, [{ from: start, to: background.judgedUntil }]).some(({ from, to }) => {
    for (let hour = floorTo(from, HOUR_MS); hour < to; hour += HOUR_MS) {
      if (background.judgedHours.has(hour)) return true
    }
    return false
  })
  return judged ? 'operational' : 'unknown'
}

/** How a count stands to what was expected; null without an expectation. */
export function ratioOf (count: number, expected: number | null): number | null {
  return expected === null || expected === 0 ? null : count / expected
}
