// Streams of windows for tests of the detector: drawn from a seed, judged in order, stopped and gone on with.
import { advance, decide, newDetector, type DetectorState, type OutageFigures, type SeenCell, type SeenWindow, type Transition } from '../../src/core/detector.ts'
import { MINUTE_MS } from '../../src/core/time.ts'

/** The full hour at which every stream begins. */
export const START = Date.parse('2026-03-02T10:00:00Z')
export const DAY_MIN = 1440

/** Reports a minute that a cell has, in the mean. */
export interface CellRate { region: string, deviceClass: string, down: number, working: number }

/** Reproducible chance in [0, 1): mulberry32. */
export function chance (seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function poisson (mean: number, next: () => number): number {
  let count = -1
  for (let left = Math.exp(-mean), product = 1; product >= left; count++) product *= next()
  return count
}

/** Window number `i`, of one minute. */
export function minute (i: number, cells: SeenCell[], watched = true): SeenWindow {
  return { start: START + i * MINUTE_MS, watched, cells }
}

/** Minutes `[from, from + count)` of what `ratesOf` says each of them has in the mean. */
export function draw (from: number, count: number, ratesOf: (i: number) => readonly CellRate[], next: () => number): SeenWindow[] {
  return Array.from({ length: count }, (_, k) => minute(from + k, ratesOf(from + k).flatMap(({ region, deviceClass, down, working }) => {
    const cell = { region, deviceClass, working: poisson(working, next), degraded: 0, down: poisson(down, next) }
    return cell.working + cell.down === 0 ? [] : [cell]
  })))
}

/** Every region with every device class, all at the same rates. */
export function grid (regions: readonly string[], deviceClasses: readonly string[], down: number, working: number): CellRate[] {
  return regions.flatMap(region => deviceClasses.map(deviceClass => ({ region, deviceClass, down, working })))
}

/** Judges windows without asking for networks, and returns all that was said. In place. */
export function judge (state: DetectorState, windows: Iterable<SeenWindow>): Transition[] {
  return decideAll(state, windows).flatMap(({ transitions }) => transitions)
}

/** The same, decision by decision. */
export function decideAll (state: DetectorState, windows: Iterable<SeenWindow>): { transitions: Transition[], outage: OutageFigures | null }[] {
  const decisions = []
  for (const window of windows) {
    advance(state, window)
    decisions.push(decide(state, new Set()))
  }
  return decisions
}

/** The state as a restart finds it. */
export function revive (state: DetectorState): DetectorState {
  return JSON.parse(JSON.stringify(state)) as DetectorState
}

/** A state that has learnt `days` of steady rates, as text, so that each test begins with its own copy; its next window is `days * DAY_MIN`. */
export function learn (days: number, rates: readonly CellRate[], seed: number): () => DetectorState {
  const next = chance(seed)
  const state = newDetector(60 * rates.reduce((sum, { down }) => sum + down, 0), 1)
  judge(state, draw(0, days * DAY_MIN, () => rates, next))
  const text = JSON.stringify(state)
  return () => JSON.parse(text) as DetectorState
}
