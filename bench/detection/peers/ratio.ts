import { exceed, type Peer } from './alarms.ts'
import { binnedCounts, expectedAt, referencesOf, slidingCounts } from './windows.ts'

/** Downdetector looks back half a year or a year; there are some weeks here. */
const DAYS_MAX = 28
const DAYS_MIN = 3
const HALF_WIDTH = 2
/** Added to the mean, reports: without it the second report in a month is a flood. Of 1 and 3 the better. */
const FLOOR = 3

/**
 * Reports in 15 minutes over the mean at this time of day, as Downdetector describes its baseline ("the average number of
 * reports for that given time of day"); neighbouring quarters of an hour are pooled, and a few reports are added to the mean.
 */
export const timeOfDayRatio: Peer = {
  name: 'ratio to time of day',
  source: 'Downdetector\'s methodology page',
  prepare: series => {
    const counts = slidingCounts(series)
    const bins = binnedCounts(series)
    const means = bins.map((_, bin) => {
      const { counts: past, days } = referencesOf(bins, bin, 1, DAYS_MAX, HALF_WIDTH)
      return new Set(days).size < DAYS_MIN ? NaN : past.reduce((sum, count) => sum + count, 0) / past.length
    })
    const ratios = counts.map((count, minute) => count / (expectedAt(means, minute) + FLOOR))
    return threshold => exceed(ratios, threshold)
  }
}
