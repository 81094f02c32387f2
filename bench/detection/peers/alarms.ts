// What all peers share: the curve they read, when their alarm rises and ends, and how their one threshold is set.
import type { Tally } from '../scores.ts'

/** A service's total of down reports by minute; `watched` is 0 in a gap. */
export interface Series { down: Uint16Array, watched: Uint8Array }

/** The minutes (indices) at whose end alarms rise, ascending, at a threshold; higher, fewer. */
export type Judge = (threshold: number) => number[]

/** A way to judge a series. Everything but the threshold is worked out before. */
export interface Peer {
  name: string
  /** Where it comes from. */
  source: string
  prepare: (series: Series) => Judge
}

/** An alarm is raised once, and ends when its signal was quiet for this many watched minutes. */
export const QUIET_MIN = 30
/** Alarms of a statistic by minute (NaN: nothing can be said): raised above the threshold. */
export function exceed (statistic: Float64Array, threshold: number): number[] {
  const alarms: number[] = []
  let quiet = QUIET_MIN
  for (let minute = 0; minute < statistic.length; minute++) {
    const value = statistic[minute]!
    if (value > threshold) {
      if (quiet >= QUIET_MIN) alarms.push(minute)
      quiet = 0
    } else if (!Number.isNaN(value)) quiet++
  }
  return alarms
}

/** Alarms of a CUSUM (Page 1954) of gains by minute: at the threshold it signals and begins anew from zero. */
export function climb (gains: Float64Array, watched: Uint8Array, threshold: number): number[] {
  const alarms: number[] = []
  let quiet = QUIET_MIN
  let sum = 0
  for (let minute = 0; minute < gains.length; minute++) {
    if (watched[minute] === 0) continue
    sum = Math.max(0, sum + gains[minute]!)
    if (sum >= threshold) {
      if (quiet >= QUIET_MIN) alarms.push(minute)
      quiet = 0
      sum = 0
    } else quiet++
  }
  return alarms
}

const LOWEST = 1e-3
const HIGHEST = 1e5
const STEP = 1.25
const BISECTIONS = 16

/**
 * The lowest threshold from which on false alarms are no more than `perMonth`: down from a high one until they are more,
 * then bisected. Not from below: an alarm that never ends is a single one.
 */
export function calibrate (tallyAt: (threshold: number) => Pick<Tally, 'falseAlarms' | 'months'>, perMonth: number): number {
  const isTooLow = (threshold: number): boolean => {
    const { falseAlarms, months } = tallyAt(threshold)
    return falseAlarms > perMonth * months
  }
  let high = HIGHEST
  while (high > LOWEST && !isTooLow(high / STEP)) high /= STEP
  let low = high / STEP
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2
    if (isTooLow(middle)) low = middle
    else high = middle
  }
  return high
}
