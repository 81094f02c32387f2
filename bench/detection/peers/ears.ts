import { exceed, type Peer } from './alarms.ts'
import { binnedCounts, expectedAt, referencesOf, slidingCounts } from './windows.ts'

/** Two days lie between the baseline's seven and today (CDC's C2). */
const FROM_DAY = 3
const TO_DAY = 9
const DAYS_MIN = 3
const HALF_WIDTH = 2
/** A least deviation, reports: 1 raised the sensitivity in Tokars et al. 2009 (Emerg. Infect. Dis. 15:533), 2 does here. */
const DEVIATION_MIN = 2

/**
 * EARS C2 (Hutwagner et al. 2003, J. Urban Health 80:i89): how many standard deviations a count is above the mean of
 * seven days, two days ago. C2 counts by the day; here a day's count is that of this quarter of an hour and the two
 * on both sides, so the season of the day is kept and 35 values give the deviation.
 */
export const earsC2: Peer = {
  name: 'EARS C2',
  source: 'the CDC: Hutwagner et al. 2003, Tokars et al. 2009',
  prepare: series => {
    const counts = slidingCounts(series)
    const bins = binnedCounts(series)
    const means = new Float64Array(bins.length)
    const deviations = new Float64Array(bins.length)
    for (let bin = 0; bin < bins.length; bin++) {
      const { mean, deviation } = baselineOf(bins, bin)
      means[bin] = mean
      deviations[bin] = deviation
    }
    const scores = counts.map((count, minute) => (count - expectedAt(means, minute)) / expectedAt(deviations, minute))
    return threshold => exceed(scores, threshold)
  }
}

/** Mean and sample standard deviation of C2's baseline for a bin; NaN while there are too few days. */
export function baselineOf (bins: Float64Array, bin: number): { mean: number, deviation: number } {
  const { counts, days } = referencesOf(bins, bin, FROM_DAY, TO_DAY, HALF_WIDTH)
  if (new Set(days).size < DAYS_MIN) return { mean: NaN, deviation: NaN }
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length
  const variance = counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / (counts.length - 1)
  return { mean, deviation: Math.max(DEVIATION_MIN, Math.sqrt(variance)) }
}
