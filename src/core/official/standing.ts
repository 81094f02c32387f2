// How a service stands by its vendor's own word, and whether people disagree.
import { DAY_MS, MINUTE_MS } from '../time.ts'
import type { OfficialStatus } from '../vocabulary.ts'
import { graver } from './words.ts'

/** A vendor's word is held for current this long after its page was last read, ms. */
const FRESH_MS = 5 * MINUTE_MS

/** An incident that was never said to be over still says how a service stands for this long, ms. */
export const OFFICIAL_KEPT_MS = 90 * DAY_MS

/** A source of a service, and how its page was last read; instants in ms. */
export interface ReadSource { id: string, url: string, readAt: number | null, updatedAt: number | null }

/** The last word on one incident of a source; `saidFirstAt`: when the vendor first admitted it. */
export interface LastWord { sourceId: string, status: OfficialStatus, publishedAt: number, saidFirstAt: number, url: string | null }

/** What the vendor says of a service; instants in ms. `source`: whose word it is. */
export interface OfficialStanding {
  status: OfficialStatus | 'unknown'
  saidAt: number | null
  checkedAt: number | null
  source: string | null
  url: string | null
}

const UNKNOWN: OfficialStanding = { status: 'unknown', saidAt: null, checkedAt: null, source: null, url: null }

/**
 * What a moderator recorded of the vendor's word on an outage that is open: an admission, and nothing of how grave it is.
 * @param acknowledgement the first one; undefined: none, so nothing is known.
 */
export function standByHand (acknowledgement: { source: string, publishedAt: Date, url: string | null } | undefined): OfficialStanding {
  if (acknowledgement === undefined) return UNKNOWN
  const { source, publishedAt, url } = acknowledgement
  return { status: 'degraded', saidAt: publishedAt.getTime(), checkedAt: null, source, url }
}

/** How long after a reading its word is current, ms: five minutes, and ten real seconds on a fast clock. */
export function officialFreshMs (speed: number): number {
  return Math.max(FRESH_MS, 10_000 * speed)
}

/**
 * The vendor's word on a service: the gravest of its incidents that are not over, as it was said last, else that it works.
 * Unknown when no page of it was read within `freshForMs`; sources that were not are left out.
 */
export function standOfficially (sources: readonly ReadSource[], words: readonly LastWord[], freshForMs: number, now: Date): OfficialStanding {
  const fresh = sources.filter(({ readAt }) => readAt !== null && now.getTime() - readAt <= freshForMs)
  if (fresh.length === 0) {
    const checkedAt = latest(sources.map(({ readAt }) => readAt))
    return checkedAt === null ? UNKNOWN : { ...UNKNOWN, checkedAt, source: sourceName(sources[0]!.url), url: sources[0]!.url }
  }
  const said = words.filter(({ sourceId }) => fresh.some(({ id }) => id === sourceId)).sort((a, b) => b.publishedAt - a.publishedAt)
  const status = said.map(word => word.status).reduce(graver, 'up')
  const word = said.find(word => word.status === status)
  const source = fresh.find(({ id }) => id === word?.sourceId) ?? fresh[0]!
  return {
    status,
    saidAt: word?.publishedAt ?? source.updatedAt,
    checkedAt: latest(fresh.map(({ readAt }) => readAt)),
    source: sourceName(source.url),
    url: word?.url ?? source.url
  }
}

/** Whose word a page is: its host. */
export function sourceName (url: string): string {
  return new URL(url).host
}

/**
 * Since when (ms) the vendor says that a service works while an outage of it is open: since it was detected, or since the
 * vendor took back what it had admitted. Null while the vendor admits it, or nobody knows what it says.
 */
export function disputedSince ({ status, saidAt }: Pick<OfficialStanding, 'status' | 'saidAt'>, detectedAt: number): number | null {
  return status === 'up' ? Math.max(detectedAt, saidAt ?? detectedAt) : null
}

function latest (instants: readonly (number | null)[]): number | null {
  return instants.reduce((a, b) => a === null || (b !== null && b > a) ? b : a, null)
}
