// The vendor's word beside ours: which outage it is about, and who was first.
import { HOUR_MS } from './time.ts'

/** A vendor may say so this long before anybody reports, and this long after all reports have ended, ms. */
const BEFORE_MS = 2 * HOUR_MS
const AFTER_MS = 24 * HOUR_MS
/** What a vendor has said for longer than this when people begin to report, ms, is about something else. */
const STANDING_MAX_MS = 24 * HOUR_MS

/** An outage as an acknowledgement is held against it; instants in ms, `end` null while it is open. */
export interface Candidate { id: string, onsetAt: number, onsetFrom: number, end: number | null }

/**
 * The outage of a service that an acknowledgement published at `publishedAt` (ms) is about: of those that began at most
 * two hours later and ended at most a day earlier the one whose onset is nearest; undefined when there is none.
 */
export function acknowledgedOutage (publishedAt: number, candidates: readonly Candidate[]): string | undefined {
  const distance = ({ onsetAt }: Candidate) => Math.abs(onsetAt - publishedAt)
  return candidates
    .filter(({ onsetFrom, end }) => onsetFrom - BEFORE_MS <= publishedAt && publishedAt <= (end ?? Infinity) + AFTER_MS)
    .sort((a, b) => distance(a) - distance(b) || (a.id < b.id ? -1 : 1))[0]?.id
}

/** What a vendor says of one incident: from its first word (ms) to the word that it is over; null while it is not. */
export interface Admission { publishedAt: number, overAt: number | null }

/**
 * The outages of a service that a vendor's incident is about: all that were open at some moment while the vendor said so,
 * and began at most a day after its first word; if there is none, the one that the first word alone is about. So one
 * admission may cover several outages.
 */
export function acknowledgedOutages ({ publishedAt, overAt }: Admission, candidates: readonly Candidate[]): string[] {
  const during = candidates.filter(({ onsetAt, end }) =>
    onsetAt <= Math.min(overAt ?? Infinity, publishedAt + STANDING_MAX_MS) && publishedAt <= (end ?? Infinity))
  if (during.length > 0) return during.map(({ id }) => id)
  const nearest = acknowledgedOutage(publishedAt, candidates)
  return nearest === undefined ? [] : [nearest]
}

/** How long before the vendor we detected an outage, s, both in ms; negative: the vendor was first. */
export function leadTime (publishedAt: number, detectedAt: number): number {
  return Math.round((publishedAt - detectedAt) / 1000)
}
