// The quarters of an hour that most peers judge: sliding by the minute, and in bins as references of past days.
import type { Series } from './alarms.ts'

/** Width of a window and of a bin, minutes. */
export const WINDOW_MIN = 15
/** Bins a day. */
export const DAY_BINS = 1440 / WINDOW_MIN

/** By minute, the reports of the `WINDOW_MIN` minutes that end with it; NaN where one was not watched. */
export function slidingCounts ({ down, watched }: Series): Float64Array {
  const sums = new Float64Array(down.length).fill(NaN)
  let [sum, seen] = [0, 0]
  for (let minute = 0; minute < down.length; minute++) {
    sum += down[minute]!
    seen += watched[minute]!
    if (minute >= WINDOW_MIN) {
      sum -= down[minute - WINDOW_MIN]!
      seen -= watched[minute - WINDOW_MIN]!
    }
    if (seen === WINDOW_MIN) sums[minute] = sum
  }
  return sums
}

/** Reports in consecutive bins of `WINDOW_MIN` minutes from the series' start; NaN where a minute was not watched. */
export function binnedCounts (series: Series): Float64Array {
  const sums = slidingCounts(series)
  return Float64Array.from({ length: Math.floor(series.down.length / WINDOW_MIN) }, (_, bin) => sums[(bin + 1) * WINDOW_MIN - 1]!)
}

/**
 * Counts of the same time on past days: bins at most `halfWidth` beside `bin`, from `fromDay` to `toDay` days before it
 * (1 is yesterday). Those not watched or before the start are left out.
 */
export function referencesOf (bins: Float64Array, bin: number, fromDay: number, toDay: number, halfWidth: number): { counts: number[], days: number[] } {
  const counts: number[] = []
  const days: number[] = []
  for (let day = fromDay; day <= toDay; day++) {
    for (let at = bin - day * DAY_BINS - halfWidth; at <= bin - day * DAY_BINS + halfWidth; at++) {
      const count = bins[at]
      if (count === undefined || Number.isNaN(count)) continue
      counts.push(count)
      days.push(day)
    }
  }
  return { counts, days }
}

/**
 * What is expected of the window that ends with `minute`, linear between the two bins it lies in. `byBin` may hold what
 * is expected of the coming bin, as that comes from past days.
 */
export function expectedAt (byBin: Float64Array, minute: number): number {
  const bin = Math.floor((minute + 1) / WINDOW_MIN) - 1
  const part = (minute + 1) % WINDOW_MIN / WINDOW_MIN
  if (bin < 0) return NaN
  return part === 0 ? byBin[bin]! : (1 - part) * byBin[bin]! + part * (byBin[bin + 1] ?? NaN)
}
