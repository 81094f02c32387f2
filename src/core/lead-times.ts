// The record of us against the vendors: what each outage was, how long before the vendor's word, and the median of all.
// Which rows are asked for and how they are paged stands in db/lead-times and http/lead-times.
import { leadTime } from './acknowledgements.ts'

/**
 * What the record knows. Of our live outages that were not merged into another: dismissed, also by our own judging or when
 * judging again no longer found it, is a `false_alarm`; else once confirmed it is `acknowledged` or `unacknowledged` by the
 * vendor. Suspected ones that are still open are not told yet. A vendor's incident, published while we watched the service,
 * behind which stands no outage of ours, or only dismissed ones, is `missed`.
 */
export const LEAD_TIME_KINDS = ['acknowledged', 'unacknowledged', 'missed', 'false_alarm'] as const
export type LeadTimeKind = typeof LEAD_TIME_KINDS[number]

/** One line of the record: an outage of ours with the vendor's first word on it, or a vendor's word alone. */
export interface LeadTimeRecord {
  serviceId: number
  /** Of the outage, or of the acknowledgement that we have none for: with `at` the record's place in the list. */
  id: string
  at: Date
  outage: { detectedAt: Date, dismissed: boolean } | null
  acknowledgement: { publishedAt: Date, source: string, url: string | null } | null
}

/** Counts of records that have the same outcome; `leadMs` null without the vendor's word. */
export interface LeadTimeTally { dismissed: boolean, leadMs: number | null, count: number }

export interface LeadTimeSummary {
  acknowledged: number
  unacknowledged: number
  missed: number
  falseAlarms: number
  /** Of the acknowledged; of an even number the mean of the middle two. Null without any. */
  medianLeadTimeS: number | null
}

/** Which kind a record is. */
export function kindOf ({ outage, acknowledgement }: Pick<LeadTimeRecord, 'outage' | 'acknowledgement'>): LeadTimeKind {
  if (outage === null) return 'missed'
  if (outage.dismissed) return 'false_alarm'
  return acknowledgement === null ? 'unacknowledged' : 'acknowledged'
}

/** How long before the vendor we detected it, s; negative: the vendor was first. Null unless it is `acknowledged`. */
export function leadTimeOf (record: LeadTimeRecord): number | null {
  if (kindOf(record) !== 'acknowledged') return null
  return leadTime(record.acknowledgement!.publishedAt.getTime(), record.outage!.detectedAt.getTime())
}

/** Two lists, each newest first by instant and id, as one, cut to `limit`. */
export function mergeRecords (some: readonly LeadTimeRecord[], others: readonly LeadTimeRecord[], limit: number): LeadTimeRecord[] {
  // Ids compare as PostgreSQL compares UUIDs: by their bytes, which lower-case digits keep.
  return [...some, ...others].sort((a, b) => b.at.getTime() - a.at.getTime() || (a.id < b.id ? 1 : -1)).slice(0, limit)
}

/** The record in figures. */
export function summarise (tallies: readonly LeadTimeTally[], missed: number): LeadTimeSummary {
  const sumOf = (holds: (tally: LeadTimeTally) => boolean) => tallies.filter(holds).reduce((sum, { count }) => sum + count, 0)
  const leads = tallies.filter(({ dismissed, leadMs }) => !dismissed && leadMs !== null).map(({ leadMs, count }) => ({ value: leadTime(leadMs!, 0), count }))
  return {
    acknowledged: sumOf(({ dismissed, leadMs }) => !dismissed && leadMs !== null),
    unacknowledged: sumOf(({ dismissed, leadMs }) => !dismissed && leadMs === null),
    missed,
    falseAlarms: sumOf(({ dismissed }) => dismissed),
    medianLeadTimeS: medianOf(leads)
  }
}

/** The median of values that stand `count` times each, in any order, rounded to a whole one; null when there are none. */
export function medianOf (values: readonly { value: number, count: number }[]): number | null {
  const sorted = [...values].sort((a, b) => a.value - b.value)
  const total = sorted.reduce((sum, { count }) => sum + count, 0)
  if (total === 0) return null
  const nth = (position: number): number => {
    let passed = 0
    return sorted.find(({ count }) => (passed += count) > position)!.value
  }
  return Math.round((nth(Math.floor((total - 1) / 2)) + nth(Math.floor(total / 2))) / 2)
}
