// The bound: a CUSUM on the affected cells alone that knows every true rate, normal and in the outage, of both kinds of
// report. Nobody can build it; its delay says how much of ours lies in the data.
import { drawOutage, type SimulatedOutage } from './events.ts'
import { lnRising } from './gamma.ts'
import { climb, type Judge } from './peers/alarms.ts'
import { newRandom } from './random.ts'
import { CELLS, DAY_MIN, isWithin, type Stream } from './streams.ts'

/** Before an outage the sum may have risen by chance. */
const RUN_UP_MIN = 60
/** Key of the outages that the oracle waits for in vain. */
const VAIN = 77

/**
 * The oracle on a quiet stream: each day it waits for another outage of the usual kinds, in vain. So its threshold is
 * set to the false alarms of the others.
 */
export function waitInVain (stream: Stream, seed: number): Judge {
  const random = newRandom(seed, VAIN, stream.minutes, Math.round(1000 * stream.rate))
  const gains = new Float64Array(stream.minutes)
  for (let from = 0; from < stream.minutes; from += DAY_MIN) {
    const outage = drawOutage(random, stream, from + Math.floor(random() * DAY_MIN))
    gains.set(gainsOf(stream, outage, from, from + DAY_MIN), from)
  }
  return threshold => climb(gains, stream.watched, threshold)
}

/** The first minute by whose end an outage is found: onset + 0 for its first; null: not before its end. */
export function findOutage (stream: Stream, outage: SimulatedOutage, threshold: number): number | null {
  const from = Math.max(0, outage.onset - RUN_UP_MIN)
  const gains = gainsOf(stream, outage, from, outage.end)
  let sum = 0
  for (let minute = from; minute < outage.end; minute++) {
    if (stream.watched[minute] === 1) sum = Math.max(0, sum + gains[minute - from]!)
    if (sum < threshold) continue
    if (minute >= outage.onset) return minute
    sum = 0
  }
  return null
}

/** Log-likelihood ratios of the outage at its full size against none, nats a minute, over `[from, to)`. */
function gainsOf (stream: Stream, outage: SimulatedOutage, from: number, to: number): Float64Array {
  const { rate, phi, workingRatio, regions, devices, regionShares, deviceShares, traffic, down, working } = stream
  const cells = Array.from({ length: CELLS }, (_, cell) => cell).filter(cell => isWithin(stream, outage, cell))
  const gains = new Float64Array(to - from)
  for (let minute = from; minute < to; minute++) {
    let [mean, y, w] = [0, 0, 0]
    for (const cell of cells) {
      const r = Math.floor(cell / devices.length)
      mean += rate * regionShares[r]! * deviceShares[cell % devices.length]! * traffic[minute * regions.length + r]!
      y += down[minute * CELLS + cell]!
      w += working[minute * CELLS + cell]!
    }
    gains[minute - from] = gainOf(y, mean, outage.ratio, phi) + gainOf(w, mean * workingRatio, 1 - outage.severity, phi)
  }
  return gains
}

/**
 * ln of the probability of `count` at mean q·m over that at mean m, both with variance φ·mean: Poisson, or negative
 * binomial of sizes qm/(φ−1) and m/(φ−1).
 */
export function gainOf (count: number, m: number, q: number, phi: number): number {
  if (phi < 1.000001) return count * Math.log(q) - m * (q - 1)
  const size = m / (phi - 1)
  return lnRising(q * size, count) - lnRising(size, count) - (q - 1) * size * Math.log(phi)
}
