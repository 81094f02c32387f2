// What vendors' pages say: how each was read, every word as we first saw it, and which of our outages it is about.
import { and, eq, gte, isNull, sql } from 'drizzle-orm'
import { v7 as uuid7 } from 'uuid'
import type { LastWord, ReadSource } from '../core/official/standing.ts'
import type { KnownWord, NewWord } from '../core/official/words.ts'
import type { OfficialStatus, SourceFormat } from '../core/vocabulary.ts'
import type { Db } from './client.ts'
import { outages, sourcePages, sources, vendorWords } from './tables.ts'

/** A page may bring tens of thousands of words, and a statement holds 65,535 values (PostgreSQL's protocol, Bind). */
const WORDS_PER_STATEMENT = 1_000

/** A page to be read, and how that went the last time. */
export type SourcePage = Pick<typeof sourcePages.$inferSelect, 'url' | 'format' | 'etag' | 'lastModified' | 'readAt' | 'failures'>

/** The pages of all sources that are switched on, each once, with the ids of its sources. */
export async function readPagesToWatch (db: Db): Promise<(SourcePage & { sources: { id: string, serviceId: number, names: string[] }[] })[]> {
  const rows = await db.orm.select({ source: sources, page: sourcePages }).from(sources)
    .leftJoin(sourcePages, and(eq(sourcePages.url, sources.url), eq(sourcePages.format, sources.format)))
    .where(and(eq(sources.enabled, true), isNull(sources.retiredAt))).orderBy(sources.createdAt, sources.id)
  const pages = new Map<string, SourcePage & { sources: { id: string, serviceId: number, names: string[] }[] }>()
  for (const { source: { id, serviceId, names, url, format }, page } of rows) {
    const key = `${format} ${url}`
    const known = pages.get(key) ?? {
      url, format, etag: page?.etag ?? null, lastModified: page?.lastModified ?? null, readAt: page?.readAt ?? null, failures: page?.failures ?? 0, sources: []
    }
    known.sources.push({ id, serviceId, names })
    pages.set(key, known)
  }
  return [...pages.values()]
}

/** How a page was read: understood (`readAt`, also when it had not changed), or why not. */
export type PageOutcome =
  { readAt: Date, etag: string | null, lastModified: string | null, updatedAt?: Date | null } | { error: string }

/** Notes how reading a page went. */
export async function recordReading ({ orm }: Db, page: { url: string, format: SourceFormat }, outcome: PageOutcome): Promise<void> {
  const { url, format } = page
  const failed = 'error' in outcome
  await orm.insert(sourcePages).values({ url, format, ...outcome, failures: failed ? 1 : 0 }).onConflictDoUpdate({
    target: [sourcePages.url, sourcePages.format],
    set: failed ? { ...outcome, failures: sql`${sourcePages.failures} + 1` } : { ...outcome, failures: 0, error: null }
  })
}

/** The words of one source that were seen since `since`, in no order. */
export async function readKnownWords (db: Db, serviceId: number, sourceId: string, since: Date): Promise<KnownWord[]> {
  const { incident, status, publishedAt, seenAt, digest } = vendorWords
  const rows = await db.orm.select({ incident, status, publishedAt, seenAt, digest }).from(vendorWords)
    .where(and(eq(vendorWords.serviceId, serviceId), eq(vendorWords.sourceId, sourceId), gte(seenAt, since)))
  return rows.map(row => ({ ...row, publishedAt: row.publishedAt.getTime(), seenAt: row.seenAt.getTime() }))
}

/** Adds a vendor's words, each with an id of its own; one that is there already stays as it is. */
export async function insertWords ({ orm }: Db, serviceId: number, sourceId: string, words: readonly NewWord[]): Promise<void> {
  for (let from = 0; from < words.length; from += WORDS_PER_STATEMENT) {
    await orm.insert(vendorWords).values(words.slice(from, from + WORDS_PER_STATEMENT).map(word => ({
      ...word, serviceId, sourceId, id: uuid7(), publishedAt: new Date(word.publishedAt), seenAt: new Date(word.seenAt)
    }))).onConflictDoNothing({ target: [vendorWords.serviceId, vendorWords.sourceId, vendorWords.incident, vendorWords.digest] })
  }
}

/** An incident of a vendor as its words have it; instants in ms. */
export interface VendorIncident extends LastWord {
  serviceId: number
  incident: string
  title: string
  /** What the vendor said first, and last. */
  firstText: string
  lastText: string
}

/** Incidents of all services of which something was said since `since`. */
export async function readVendorIncidents (db: Db, since: Date): Promise<VendorIncident[]> {
  const rows = await db.query<{
    service_id: number,
    source_id: string,
    incident: string,
    status: OfficialStatus,
    published_at: Date,
    said_first_at: Date | null,
    title: string | null,
    url: string | null,
    first_text: string,
    last_text: string
  }>(`select service_id, source_id, incident, max(published_at) as published_at, min(published_at) filter (where status <> 'up') as said_first_at,
      (array_agg(status order by published_at desc, seen_at desc))[1] as status,
      (array_agg(title order by published_at desc, seen_at desc) filter (where title <> ''))[1] as title,
      (array_agg(url order by published_at desc, seen_at desc) filter (where url is not null))[1] as url,
      (array_agg(text order by published_at, seen_at))[1] as first_text, (array_agg(text order by published_at desc, seen_at desc))[1] as last_text
    from vendor_words where seen_at >= $1 group by service_id, source_id, incident`, [since.toISOString()])
  return rows.map(row => ({
    serviceId: row.service_id,
    sourceId: row.source_id,
    incident: row.incident,
    status: row.status,
    publishedAt: row.published_at.getTime(),
    // Of what was over when we saw it first we know no earlier word.
    saidFirstAt: (row.said_first_at ?? row.published_at).getTime(),
    title: row.title ?? '',
    url: row.url,
    firstText: row.first_text,
    lastText: row.last_text
  }))
}

/** The sources that are switched on, by service, each with how its page was last read. */
export async function readWatchedSources ({ orm }: Db): Promise<Map<number, ReadSource[]>> {
  const rows = await orm.select({ source: sources, readAt: sourcePages.readAt, updatedAt: sourcePages.updatedAt }).from(sources)
    .leftJoin(sourcePages, and(eq(sourcePages.url, sources.url), eq(sourcePages.format, sources.format)))
    .where(and(eq(sources.enabled, true), isNull(sources.retiredAt))).orderBy(sources.createdAt, sources.id)
  const found = new Map<number, ReadSource[]>()
  for (const { source: { id, serviceId, url }, readAt, updatedAt } of rows) {
    const read = { id, url, readAt: readAt?.getTime() ?? null, updatedAt: updatedAt?.getTime() ?? null }
    found.set(serviceId, [...found.get(serviceId) ?? [], read])
  }
  return found
}

/** Sets since when an outage is disputed, or null; true when that has changed anything. */
export async function updateDispute ({ orm }: Db, { serviceId, id }: { serviceId: number, id: string }, since: Date | null): Promise<boolean> {
  const rows = await orm.update(outages).set({ disputedSince: since })
    .where(and(eq(outages.serviceId, serviceId), eq(outages.id, id), sql`${outages.disputedSince} is distinct from ${since?.toISOString() ?? null}::timestamptz`))
    .returning({ id: outages.id })
  return rows.length > 0
}
