import { expectedCost, reportGain } from '../../../src/core/charts.ts'
import { climb, type Peer, type Series } from './alarms.ts'

/** The mean in an outage over the normal one: in between small and large outages. */
const Q = 5
const HOUR_MIN = 60
const QUARTER_MIN = 15
/** Memory of an hour of the day, days. */
const DAYS_MAX = 14
const DAYS_MIN = 3
/** An hour of the day leans on the day's mean with the weight of so many reports. */
const LEAN = 5

/**
 * CUSUM of the negative binomial likelihood ratio (Höhle & Paul 2008, CSDA 52:4357) for a rise of the mean to five times
 * a seasonal baseline: the mean by hour of the day over the last two weeks, up to yesterday, linear between hours, with
 * floods clipped. The dispersion is that of quarters of an hour about the baseline, so that slow traffic noise is in it.
 */
export const seasonalCusum: Peer = {
  name: 'NB-CUSUM, q = 5',
  source: 'Höhle & Paul 2008',
  prepare: series => {
    const gains = gainsOf(series)
    return threshold => climb(gains, series.watched, threshold)
  }
}

/** ln of the likelihood ratio of a count at mean q·m over m, with fixed size m/(φ−1), nats; linear in the count. */
export function countGain (count: number, m: number, q: number, phi: number): number {
  return count * reportGain(q, phi) - m * expectedCost(q, phi)
}

interface Hour { sum: number, minutes: number, expected: number, residual2: number }

function gainsOf ({ down, watched }: Series): Float64Array {
  const gains = new Float64Array(down.length)
  const hours: Hour[] = []
  let phi = 1
  for (let from = 0; from + HOUR_MIN <= down.length; from += HOUR_MIN) {
    const hour = from / HOUR_MIN
    const [before, now, next] = [rateOf(hours, hour - 1), rateOf(hours, hour), rateOf(hours, hour + 1)] as const
    const isKnown = hour >= DAYS_MIN * 24
    if (isKnown) {
      phi = dispersionOf(hours)
      for (let minute = from; minute < from + HOUR_MIN; minute++) {
        const part = (minute - from + 0.5) / HOUR_MIN - 0.5
        const mean = part < 0 ? now + part * (now - before) : now + part * (next - now)
        gains[minute] = watched[minute] === 0 ? 0 : countGain(down[minute]!, mean, Q, phi)
      }
    }
    hours.push(recordHour(down, watched, from, isKnown ? now : null, phi))
  }
  return gains
}

/** An hour as it is learnt: no quarter more than four standard deviations and eight reports above what was expected; against itself while nothing is. */
function recordHour (down: Uint16Array, watched: Uint8Array, from: number, known: number | null, phi: number): Hour {
  const hour = { sum: 0, minutes: 0, expected: 0, residual2: 0 }
  const watchedMin = watched.subarray(from, from + HOUR_MIN).reduce((sum, one) => sum + one, 0)
  const rate = known ?? down.subarray(from, from + HOUR_MIN).reduce((sum, count) => sum + count, 0) / Math.max(1, watchedMin)
  for (let quarter = from; quarter < from + HOUR_MIN; quarter += QUARTER_MIN) {
    let [sum, minutes] = [0, 0]
    for (let minute = quarter; minute < quarter + QUARTER_MIN; minute++) {
      sum += down[minute]!
      minutes += watched[minute]!
    }
    const expected = minutes * rate
    const kept = known === null ? sum : Math.min(sum, expected + 4 * Math.sqrt(phi * expected) + 8)
    hour.sum += kept
    hour.minutes += minutes
    hour.expected += expected
    hour.residual2 += (kept - expected) ** 2
  }
  return hour
}

/** Reports a minute expected in an hour, from the same hour of the days before. */
function rateOf (hours: readonly Hour[], hour: number): number {
  let [all, allMinutes, sum, minutes] = [0, 0, 0, 0]
  const oldest = Math.max(0, hour - DAYS_MAX * 24)
  for (let past = oldest; past < hours.length; past++) {
    all += hours[past]!.sum
    allMinutes += hours[past]!.minutes
    if ((hour - past) % 24 !== 0 || past === hour) continue
    sum += hours[past]!.sum
    minutes += hours[past]!.minutes
  }
  const mean = (all + 1) / (allMinutes + HOUR_MIN)
  return (sum + LEAN) / (minutes + LEAN / mean)
}

function dispersionOf (hours: readonly Hour[]): number {
  const recent = hours.slice(-DAYS_MAX * 24)
  const expected = recent.reduce((sum, hour) => sum + hour.expected, 0)
  return Math.max(1, (recent.reduce((sum, hour) => sum + hour.residual2, 0) + 30) / (expected + 30))
}
