// Farrington's method in Noufaily's flexible form: a quasi-Poisson regression on the same time of past days.
import { lnGamma, lnRising } from '../gamma.ts'
import { exceed, type Peer } from './alarms.ts'
import { binnedCounts, DAY_BINS, expectedAt, referencesOf, slidingCounts } from './windows.ts'

/** Reference windows: as many past days as there are, and three bins on both sides (w = 3 in both papers). */
const DAYS_MAX = 28
const DAYS_MIN = 3
const HALF_WIDTH = 3
/** Above this Anscombe residual a count weighs less, as an outbreak of the past (Noufaily et al. 2013, section 3.3). */
const RESIDUAL_MAX = 2.58
/** No alarm on fewer than five reports in the last four windows (Farrington et al. 1996). */
const REPORTS_MIN = 5
const REPORTS_WINDOWS = 4
const ITERATIONS_MAX = 12

/** What is expected of one bin: the mean, and the variance as a multiple of it. */
export interface Forecast { mean: number, phi: number }

/**
 * Farrington flexible (Farrington et al. 1996, JRSS A 159:547; Noufaily et al. 2013, Statistics in Medicine 32:1206):
 * trend always fitted, past outbreaks weighed down above 2.58, alarm by the negative binomial quantile. A week of the
 * paper is a quarter of an hour here and its year a day: yesterday is the youngest reference, so an outage under way
 * is in none. Refitted for every bin, judged each minute; the threshold is on −log10 of the tail's probability.
 */
export const farrington: Peer = {
  name: 'Farrington flexible',
  source: 'Farrington et al. 1996, Noufaily et al. 2013',
  prepare: series => {
    const counts = slidingCounts(series)
    const bins = binnedCounts(series)
    const means = new Float64Array(bins.length).fill(NaN)
    const phis = new Float64Array(bins.length).fill(NaN)
    for (let bin = DAYS_MIN * DAY_BINS; bin < bins.length; bin++) {
      const { counts: past, days } = referencesOf(bins, bin, 1, DAYS_MAX, HALF_WIDTH)
      if (past.length < DAYS_MIN * (2 * HALF_WIDTH + 1)) continue
      const { mean, phi } = forecast(past, days)
      means[bin] = mean
      phis[bin] = phi
    }
    const surprises = counts.map((count, minute) => {
      let recent = 0
      for (let window = 0; window < REPORTS_WINDOWS; window++) recent += counts[minute - window * 15] || 0
      const mean = expectedAt(means, minute)
      if (Number.isNaN(count) || Number.isNaN(mean)) return NaN
      return recent < REPORTS_MIN ? 0 : surprise(count, mean, expectedAt(phis, minute))
    })
    return threshold => exceed(surprises, threshold)
  }
}

/** Today's mean and dispersion from counts of `days` days ago: fitted, weighed, fitted again. */
export function forecast (counts: readonly number[], days: readonly number[]): Forecast {
  const evenly = counts.map(() => 1)
  const first = fit(counts, days, evenly, true)
  const phi = dispersionOf(counts, first, evenly)
  const residuals = counts.map((count, i) => {
    const mean = first.means[i]!
    // Anscombe's residual of a Poisson count, standardised by φ and the leverage.
    return 1.5 * (count ** (2 / 3) * mean ** (-1 / 6) - Math.sqrt(mean)) / Math.sqrt(phi * Math.max(1e-6, 1 - first.leverages[i]!))
  })
  const raw = residuals.map(residual => residual > RESIDUAL_MAX ? residual ** -2 : 1)
  const scale = counts.length / raw.reduce((sum, weight) => sum + weight, 0)
  const weights = raw.map(weight => weight * scale)
  let second = fit(counts, days, weights, true)
  // A trend that leads beyond all that was seen is not believed (Farrington et al. 1996, section 3.4).
  if (second.today > Math.max(...counts)) second = fit(counts, days, weights, false)
  return { mean: Math.max(second.today, 0.5 / counts.length), phi: dispersionOf(counts, second, weights) }
}

interface Fit { means: number[], leverages: number[], today: number, parameters: number }

/** Poisson regression of log mean on a constant and, perhaps, the day, by weighted least squares, iterated. */
export function fit (counts: readonly number[], days: readonly number[], weights: readonly number[], trend: boolean): Fit {
  const total = counts.reduce((sum, count, i) => sum + weights[i]! * count, 0)
  const weightSum = weights.reduce((sum, weight) => sum + weight, 0)
  const level = Math.max(total, 0.5) / weightSum
  let [constant, slope] = [Math.log(level), 0]
  if (!trend || total <= 0) {
    return { means: counts.map(() => level), leverages: weights.map(weight => weight / weightSum), today: level, parameters: 1 }
  }
  const centre = days.reduce((sum, day) => sum + day, 0) / days.length
  const xs = days.map(day => centre - day)
  const means = Array<number>(counts.length)
  let [a, b, c, determinant] = [0, 0, 0, 0]
  for (let iteration = 0; iteration < ITERATIONS_MAX; iteration++) {
    let [u, v] = [0, 0];
    [a, b, c] = [0, 0, 0]
    for (let i = 0; i < counts.length; i++) {
      const mean = Math.exp(Math.max(-20, Math.min(20, constant + slope * xs[i]!)))
      means[i] = mean
      const weight = weights[i]! * mean
      const residual = weights[i]! * (counts[i]! - mean)
      a += weight
      b += weight * xs[i]!
      c += weight * xs[i]! ** 2
      u += residual
      v += residual * xs[i]!
    }
    determinant = a * c - b * b
    if (!(determinant > 1e-12)) break
    const [up, turn] = [(c * u - b * v) / determinant, (a * v - b * u) / determinant]
    constant += Math.max(-2, Math.min(2, up))
    slope += Math.max(-0.5, Math.min(0.5, turn))
    if (Math.abs(up) + Math.abs(turn) < 1e-6) break
  }
  const leverages = xs.map((x, i) => determinant > 1e-12 ? weights[i]! * means[i]! * (c - 2 * b * x + a * x * x) / determinant : weights[i]! / weightSum)
  return { means, leverages, today: Math.exp(Math.max(-20, Math.min(20, constant + slope * centre))), parameters: 2 }
}

/** φ = max(1, Σ ω (y−μ)²/μ / (n−p)). */
function dispersionOf (counts: readonly number[], { means, parameters }: Fit, weights: readonly number[]): number {
  const sum = counts.reduce((sum, count, i) => sum + weights[i]! * (count - means[i]!) ** 2 / means[i]!, 0)
  return Math.max(1, sum / (counts.length - parameters))
}

/** −log10 of the probability of `count` or more at this mean and variance φ·mean, negative binomial or Poisson; 0 up to the mean. */
export function surprise (count: number, mean: number, phi: number): number {
  if (count <= mean) return 0
  const isPoisson = phi < 1.000001
  const size = mean / (phi - 1)
  const lnFirst = (isPoisson
    ? count * Math.log(mean) - mean
    : lnRising(size, count) - size * Math.log(phi) + count * Math.log((phi - 1) / phi)) - lnGamma(count + 1)
  let [sum, term] = [1, 1]
  for (let k = count; term > 1e-7 * sum; k++) {
    term *= isPoisson ? mean / (k + 1) : (size + k) / (k + 1) * (phi - 1) / phi
    sum += term
  }
  return -(lnFirst + Math.log(sum)) / Math.LN10
}
