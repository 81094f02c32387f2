// The vendor's word beside ours: which outage it is about, and who was first.
import { HOUR_MS } from './time.ts'

/** A vendor may say so this long before anybody reports, and this long after all reports have ended, ms. */
const BEFORE_MS = 2 * HOUR_MS
const AFTER_MS = 24 * HOUR_MS

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

/** How long before the vendor we detected an outage, s, both in ms; negative: the vendor was first. */
export function leadTime (publishedAt: number, detectedAt: number): number {
  return Math.round((publishedAt - detectedAt) / 1000)
}
