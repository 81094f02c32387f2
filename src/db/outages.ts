// Outages and their timelines.
import { isDeepStrictEqual } from 'node:util'
import { and, desc, eq, gte, inArray, lt, lte, sql, type SQL } from 'drizzle-orm'
import { v7 as uuid7 } from 'uuid'
import type { OutageFigures, Transition } from '../core/detector.ts'
import type { OutageSpan } from '../core/history.ts'
import { nameOfRegion } from '../core/regions.ts'
import { OPEN_OUTAGE_STATES, type Actor, type OutageState } from '../core/vocabulary.ts'
import { wordsFor, type Names } from '../core/words.ts'
import type { Db } from './client.ts'
import { isAfter, type Place } from './pages.ts'
import { deviceClasses, outageEvents, outages, type DeviceImpact } from './tables.ts'

export type Outage = typeof outages.$inferSelect
export type OutageEvent = typeof outageEvents.$inferSelect

/** The open outage of every service that has one. */
export async function readOpenOutages ({ orm }: Db): Promise<Outage[]> {
  return orm.select().from(outages).where(inArray(outages.state, [...OPEN_OUTAGE_STATES]))
}

/** Writes an outage as the detector sees it now. */
export async function upsertOutage (
  { orm }: Db, serviceId: number, id: string, figures: OutageFigures, deviceImpact: DeviceImpact[], retrospective: boolean
): Promise<void> {
  const row = { ...columnsOf(figures), deviceImpact, retrospective, withdrawn: false }
  await orm.insert(outages).values({ serviceId, id, ...row })
    .onConflictDoUpdate({ target: [outages.serviceId, outages.id], set: row })
}

/** Whether a row says of its outage what these figures say. */
export function stands (row: Outage, figures: OutageFigures): boolean {
  return Object.entries(columnsOf(figures)).every(([column, value]) => isDeepStrictEqual(row[column as keyof Outage], value))
}

function columnsOf (figures: OutageFigures) {
  return {
    region: figures.scope.region,
    deviceClass: figures.scope.deviceClass,
    state: figures.state,
    severity: figures.severity,
    onsetAt: new Date(figures.onsetAt),
    onsetFrom: new Date(figures.onsetFrom),
    onsetTo: new Date(figures.onsetTo),
    detectedAt: new Date(figures.detectedAt),
    confirmedAt: instant(figures.confirmedAt),
    recoveringAt: instant(figures.recoveringAt),
    resolvedAt: instant(figures.resolvedAt),
    dismissedAt: instant(figures.dismissedAt),
    peakStart: new Date(figures.peak.start),
    peakDown: figures.peak.down,
    peakExpected: figures.peak.expected,
    affectedShare: figures.affectedShare
  }
}

/** A new outage's id, dated by its detection (ms). */
export function outageId (detectedAt: number): string {
  return uuid7({ msecs: detectedAt })
}

/** What regions and device classes are called in what is said of an outage. */
export async function readScopeNames ({ orm }: Db): Promise<Names> {
  const classes = new Map((await orm.select().from(deviceClasses)).map(({ slug, name }) => [slug, name]))
  return { region: nameOfRegion, deviceClass: slug => classes.get(slug) ?? slug }
}

/** Adds what the detector said to an outage's timeline; `networks` as counted for each, by position. */
export async function insertOutageEvents (
  { orm }: Db, names: Names, serviceId: number, outageId: string, transitions: readonly Transition[], networks: readonly (number | undefined)[] = []
): Promise<void> {
  if (transitions.length === 0) return
  await orm.insert(outageEvents).values(transitions.map((transition, index) => ({
    serviceId,
    outageId,
    id: uuid7({ msecs: transition.at, seq: index }),
    at: new Date(transition.at),
    type: transition.type,
    state: transition.state,
    actor: 'detector' as const,
    text: wordsFor(transition, names),
    reading: networks[index] === undefined ? transition.reading : { ...transition.reading, networks: networks[index] }
  })))
}

function instant (at: number | null): Date | null {
  return at === null ? null : new Date(at)
}

/** Which outages a list holds; `before` is the last of the page before. */
export interface OutageFilter {
  serviceId?: number | undefined
  state?: OutageState | undefined
  states?: readonly OutageState[] | undefined
  /** Only what was found while we watched: none of imported history. */
  live?: boolean | undefined
  /** Detected at or after, and before. */
  since?: Date | undefined
  until?: Date | undefined
  before?: Place | undefined
}

/** Outages, newest first by detection and id. */
export async function readOutages ({ orm }: Db, filter: OutageFilter, limit: number): Promise<Outage[]> {
  const { serviceId, state, states, live, since, until, before } = filter
  const conditions: (SQL | undefined)[] = [
    serviceId === undefined ? undefined : eq(outages.serviceId, serviceId),
    state === undefined ? undefined : eq(outages.state, state),
    states === undefined ? undefined : inArray(outages.state, [...states]),
    live === true ? eq(outages.retrospective, false) : undefined,
    since === undefined ? undefined : gte(outages.detectedAt, since),
    until === undefined ? undefined : lt(outages.detectedAt, until),
    isAfter(outages.detectedAt, outages.id, before)
  ]
  return orm.select().from(outages).where(and(...conditions)).orderBy(desc(outages.detectedAt), desc(outages.id)).limit(limit)
}

/** One outage by its id alone. */
export async function findOutage ({ orm }: Db, id: string): Promise<Outage | undefined> {
  const [row] = await orm.select().from(outages).where(eq(outages.id, id))
  return row
}

/** An outage as it is now, held until the transaction ends. */
export async function holdOutage ({ orm }: Db, { serviceId, id }: Pick<Outage, 'serviceId' | 'id'>): Promise<Outage | undefined> {
  const [row] = await orm.select().from(outages).where(and(eq(outages.serviceId, serviceId), eq(outages.id, id))).for('update')
  return row
}

/** Changes the row of an outage by a moderator's word, and returns it as it is now. */
export async function updateOutage (
  { orm }: Db, { serviceId, id }: Pick<Outage, 'serviceId' | 'id'>,
  change: Partial<Pick<Outage, 'state' | 'confirmedAt' | 'resolvedAt' | 'dismissedAt' | 'mergedInto'>>
): Promise<Outage> {
  const [row] = await orm.update(outages).set(change).where(and(eq(outages.serviceId, serviceId), eq(outages.id, id))).returning()
  return row!
}

/** With which outages each of some was merged, either way, by outage. */
export async function readMerged ({ orm }: Db, rows: readonly Pick<Outage, 'serviceId' | 'id' | 'mergedInto'>[]): Promise<Map<string, string[]>> {
  if (rows.length === 0) return new Map()
  const into = await orm.select({ id: outages.id, mergedInto: outages.mergedInto }).from(outages).where(and(
    inArray(outages.serviceId, rows.map(({ serviceId }) => serviceId)), inArray(outages.mergedInto, rows.map(({ id }) => id))
  )).orderBy(outages.detectedAt, outages.id)
  return new Map(rows.map(({ id, mergedInto }) =>
    [id, [...mergedInto === null ? [] : [mergedInto], ...into.filter(row => row.mergedInto === id).map(row => row.id)]]))
}

/** The outages of some services that touch `[from, to)`, ascending by onset. */
export async function readOutagesWithin ({ orm }: Db, serviceIds: readonly number[], from: Date, to: Date): Promise<Outage[]> {
  return orm.select().from(outages).where(and(
    inArray(outages.serviceId, [...serviceIds]), lt(outages.onsetAt, to),
    sql`coalesce(${outages.resolvedAt}, ${outages.dismissedAt}, 'infinity') > ${from.toISOString()}`
  )).orderBy(outages.onsetAt, outages.id)
}

/** When a service's confirmed outages that touch `[from, to)` (ms) began and were resolved, ascending by onset; none that was dismissed. */
export async function readConfirmedSpans (db: Db, serviceId: number, from: number, to: number): Promise<OutageSpan[]> {
  const rows = await db.query<{ onset_at: Date, resolved_at: Date | null }>(`select onset_at, resolved_at from outages
    where service_id = $1 and confirmed_at is not null and state <> 'dismissed' and onset_at < $3 and coalesce(resolved_at, 'infinity') > $2
    order by onset_at, id`, [serviceId, new Date(from).toISOString(), new Date(to).toISOString()])
  return rows.map(row => ({ onsetAt: row.onset_at.getTime(), resolvedAt: row.resolved_at?.getTime() ?? null }))
}

/** The timelines of some outages of one service, oldest entry first. */
export async function readOutageEvents ({ orm }: Db, serviceId: number, outageIds: readonly string[]): Promise<OutageEvent[]> {
  if (outageIds.length === 0) return []
  return orm.select().from(outageEvents)
    .where(and(eq(outageEvents.serviceId, serviceId), inArray(outageEvents.outageId, [...outageIds])))
    .orderBy(outageEvents.at, outageEvents.id)
}

/** The timelines of outages of any services, by outage, oldest entry first. */
export async function readEventsOfAll (db: Db, rows: readonly Pick<Outage, 'serviceId' | 'id'>[]): Promise<Map<string, OutageEvent[]>> {
  const services = [...new Set(rows.map(({ serviceId }) => serviceId))]
  const found = new Map<string, OutageEvent[]>(rows.map(({ id }) => [id, []]))
  await Promise.all(services.map(async serviceId => {
    const ids = rows.filter(row => row.serviceId === serviceId).map(({ id }) => id)
    for (const event of await readOutageEvents(db, serviceId, ids)) found.get(event.outageId)!.push(event)
  }))
  return found
}

/** The outages of a service that imported history gave, found in `[from, to]`: a new judging of that time replaces them. */
export async function readRetrospective ({ orm }: Db, serviceId: number, from: Date, to: Date): Promise<Outage[]> {
  return orm.select().from(outages).where(and(
    eq(outages.serviceId, serviceId), eq(outages.retrospective, true), gte(outages.detectedAt, from), lte(outages.onsetAt, to)))
}

/** Dismisses an outage that judging again no longer finds; its timeline keeps what was said, and says why. False: it is dismissed already. */
export async function withdrawOutage (db: Db, { serviceId, id }: Outage, judgedUntil: Date, actor: Actor, text: string): Promise<boolean> {
  const { orm } = db
  const at = await dateEntry(db, serviceId, id, judgedUntil)
  const withdrawn = await orm.update(outages).set({ state: 'dismissed', dismissedAt: at, withdrawn: true })
    .where(and(eq(outages.serviceId, serviceId), eq(outages.id, id), sql`${outages.state} <> 'dismissed'`)).returning({ id: outages.id })
  if (withdrawn.length > 0) await addEntry(db, { serviceId, outageId: id, at, type: 'dismissed', state: 'dismissed', actor, text }, at)
  return withdrawn.length > 0
}

type NewEntry = Omit<OutageEvent, 'id' | 'reading' | 'toldAt'>

/**
 * Adds one entry that is not the detector's to an outage's timeline; `toldAt`: now, which may be after the instant it is
 * dated by. That is later than what was said before, since the last entry is what holds; a vendor's words keep their dates.
 */
export async function insertEvent (db: Db, entry: NewEntry, toldAt: Date): Promise<void> {
  const { serviceId, outageId, actor, at } = entry
  await addEntry(db, actor === 'vendor' ? entry : { ...entry, at: await dateEntry(db, serviceId, outageId, at) }, toldAt)
}

async function addEntry ({ orm }: Db, entry: NewEntry, toldAt: Date): Promise<void> {
  await orm.insert(outageEvents).values({ ...entry, id: uuid7({ msecs: entry.at.getTime() }), reading: null, toldAt })
}

/** `at`, or right after the last entry that is no vendor's. */
async function dateEntry (db: Db, serviceId: number, outageId: string, at: Date): Promise<Date> {
  const [row] = await db.query<{ last: Date | null }>(
    "select max(at) as last from outage_events where service_id = $1 and outage_id = $2 and actor <> 'vendor'", [serviceId, outageId])
  const last = row?.last ?? null
  return last !== null && last >= at ? new Date(last.getTime() + 1) : at
}

/** A service's live outages that were open at `since` (ms) or later, ascending by detection. */
export async function readOutagesSince ({ orm }: Db, serviceId: number, since: number): Promise<Outage[]> {
  return orm.select().from(outages).where(and(
    eq(outages.serviceId, serviceId), eq(outages.retrospective, false),
    sql`coalesce(${outages.resolvedAt}, ${outages.dismissedAt}, 'infinity') > ${new Date(since).toISOString()}`
  )).orderBy(outages.detectedAt, outages.id)
}

/** When each service's last outage ended, ms. */
export async function readLastEnds (db: Db): Promise<Map<number, number>> {
  const rows = await db.query<{ service_id: number, ended_at: Date }>(
    'select service_id, max(coalesce(resolved_at, dismissed_at)) as ended_at from outages where coalesce(resolved_at, dismissed_at) is not null group by 1')
  return new Map(rows.map(row => [row.service_id, row.ended_at.getTime()]))
}
