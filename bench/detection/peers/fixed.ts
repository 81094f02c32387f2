import { exceed, type Peer } from './alarms.ts'
import { slidingCounts } from './windows.ts'

/** So many reports in a quarter of an hour, whatever is usual: openstatus, there with 7 reporters. */
export const fixedCount: Peer = {
  name: 'fixed count',
  source: 'openstatus, which takes 7 reporters in 15 minutes',
  prepare: series => {
    const counts = slidingCounts(series)
    return threshold => exceed(counts, threshold)
  }
}
