// The catalog: what there is to report about.
import { and, eq, getTableColumns, sql } from 'drizzle-orm'
import { v7 as uuid7 } from 'uuid'
import { catalog as seed, type Catalog as Seed } from './catalog.ts'
import { lockInTransaction, LOCKS, transact, type Database, type Db } from './client.ts'
import { components, dependencies, deviceClasses, fallbacks, services, sourcePages, sources, symptoms, workarounds } from './tables.ts'

/** A thing people can name: by its slug in the API, by its name on a page. */
export interface Named {
  slug: string
  name: string
  /** Since when it takes no new reports and stands in no public list; what names it already stays. */
  retiredAt: Date | null
}

/** What people can do meanwhile; `deviceClass` null: on every kind of device. */
export type Workaround = Omit<typeof workarounds.$inferSelect, 'serviceId'>

/** A vendor's page that tells of the service; `stale`: its last reading failed, what we hold of it is older than the page. */
export type Source = Omit<typeof sources.$inferSelect, 'serviceId'> & { stale: boolean }

/** One service with all that the catalog says of it. */
export interface Service extends Named {
  id: number
  group: string | null
  expectedPerHour: number
  /** Reports without a token need a proof of work. */
  proofRequired: boolean
  /** Since when an instance watches it; null before the first. */
  liveSince: Date | null
  /** First and last imported minute of before that. */
  historyFrom: Date | null
  historyTo: Date | null
  components: Named[]
  /** Null: there is none; a device class not listed: nobody has said. */
  fallbacks: { deviceClass: string, fallback: string | null }[]
  /** Newest first. */
  workarounds: Workaround[]
  /** Ids of the services that it needs to work, as far as is publicly known. */
  dependsOn: number[]
  /** Newest first. */
  sources: Source[]
}

/** The whole catalog at one moment, ascending by slug; what is retired included. */
export interface Catalog {
  services: ReadonlyMap<string, Service>
  deviceClasses: ReadonlyMap<string, Named>
  symptoms: ReadonlyMap<string, Named>
}

/** Reads the catalog whole: some hundreds of rows, one query after another, since `db` may be a transaction. */
export async function readCatalog ({ orm }: Db): Promise<Catalog> {
  const serviceRows = await orm.select().from(services).orderBy(sql`slug collate "C"`)
  const componentRows = await orm.select().from(components).orderBy(sql`slug collate "C"`)
  const fallbackRows = await orm.select().from(fallbacks).orderBy(sql`device_class collate "C"`)
  const workaroundRows = await orm.select().from(workarounds).orderBy(sql`created_at desc, id desc`)
  const dependencyRows = await orm.select().from(dependencies).orderBy(dependencies.dependsOnId)
  const sourceRows = await orm.select({ ...getTableColumns(sources), failures: sourcePages.failures }).from(sources)
    .leftJoin(sourcePages, and(eq(sourcePages.url, sources.url), eq(sourcePages.format, sources.format)))
    .orderBy(sql`${sources.createdAt} desc, ${sources.id} desc`)
  const deviceClassRows = await orm.select().from(deviceClasses).orderBy(sql`slug collate "C"`)
  const symptomRows = await orm.select().from(symptoms).orderBy(sql`slug collate "C"`)
  return {
    services: new Map(serviceRows.map(service => [service.slug, {
      ...service,
      components: componentRows.filter(({ serviceId }) => serviceId === service.id).map(({ slug, name, retiredAt }) => ({ slug, name, retiredAt })),
      fallbacks: fallbackRows.filter(({ serviceId }) => serviceId === service.id)
        .map(({ deviceClass, fallback }) => ({ deviceClass, fallback })),
      workarounds: workaroundRows.filter(({ serviceId }) => serviceId === service.id),
      dependsOn: dependencyRows.filter(({ serviceId }) => serviceId === service.id).map(({ dependsOnId }) => dependsOnId),
      sources: sourceRows.filter(({ serviceId }) => serviceId === service.id)
        .map(({ serviceId, failures, ...source }) => ({ ...source, stale: source.enabled && (failures ?? 0) > 0 }))
    }])),
    deviceClasses: new Map(deviceClassRows.map(row => [row.slug, row])),
    symptoms: new Map(symptomRows.map(row => [row.slug, row]))
  }
}

/**
 * Fills an empty catalog from the seed; one that has services is left as its operators made it, but for sources and
 * dependencies, which it gets once: sources are only ever retired.
 */
export async function seedCatalog (database: Database, now: Date, data: Seed = seed): Promise<void> {
  await transact(database, async tx => {
    await lockInTransaction(tx, LOCKS.catalog)
    if ((await tx.query('select 1 from services limit 1')).length === 0) await seedServices(tx, data)
    if ((await tx.query('select 1 from sources limit 1')).length === 0) await seedSources(tx, data, now)
  })
}

async function seedServices (tx: Db, data: Seed): Promise<void> {
  await tx.orm.insert(deviceClasses).values(data.deviceClasses)
  await tx.orm.insert(symptoms).values(data.symptoms)
  const numbered = data.services.map((service, index) => ({ id: index + 1, ...service }))
  await tx.orm.insert(services).values(numbered.map(({ id, slug, name, group, expectedPerHour }) => ({ id, slug, name, group, expectedPerHour })))
  await tx.orm.insert(components).values(numbered.flatMap(({ id, components }) => components.map(part => ({ serviceId: id, ...part }))))
  await tx.orm.insert(fallbacks).values(numbered.flatMap(({ id, fallbacks }) =>
    Object.entries(fallbacks).map(([deviceClass, fallback]) => ({ serviceId: id, deviceClass, fallback }))))
}

async function seedSources (tx: Db, data: Seed, now: Date): Promise<void> {
  const ids = new Map((await tx.orm.select({ id: services.id, slug: services.slug }).from(services)).map(({ id, slug }) => [slug, id]))
  const known = <Line>(lines: readonly Line[], slugOf: (line: Line) => string) =>
    lines.flatMap(line => ids.has(slugOf(line)) ? [{ line, serviceId: ids.get(slugOf(line))! }] : [])
  const pages = known(data.sources, ({ service }) => service)
    .map(({ line: { format, url, names = [] }, serviceId }, index) => ({ id: uuid7({ msecs: now.getTime(), seq: index }), serviceId, format, url, names, createdAt: now }))
  if (pages.length > 0) await tx.orm.insert(sources).values(pages)
  const needs = known(Object.entries(data.dependencies), ([service]) => service).flatMap(({ line: [, others], serviceId }) =>
    known(others, other => other).map(({ serviceId: dependsOnId }) => ({ serviceId, dependsOnId })))
  if (needs.length > 0) await tx.orm.insert(dependencies).values(needs).onConflictDoNothing()
}

/** From `since` (a minute's start) on we watch every service that nobody watched before. */
export async function beginWatching (db: Db, since: Date): Promise<void> {
  await db.query('update services set live_since = $1 where live_since is null', [since.toISOString()])
}

/**
 * Notes, before they are committed, which minutes of before `live_since` an import brings. Marks without reports are
 * harmless; reports without their mark, and without `requestRejudge`, would never be judged.
 * @param spans first and last imported minute, ms, of each service, which stands once.
 */
export async function markHistory (database: Database, spans: readonly { serviceId: number, from: number, to: number }[]): Promise<void> {
  const ids = spans.map(({ serviceId }) => serviceId)
  await transact(database, async tx => {
    // Imports at once mark the same services: locked in one order, none waits in a circle.
    await tx.query('select id from services where id = any($1::integer[]) order by id for update', [ids], 'lock_history')
    await tx.query(`update services set history_from = least(history_from, span.first), history_to = greatest(history_to, span.last)
      from unnest($1::integer[], $2::timestamptz[], $3::timestamptz[]) as span (service, first, last)
      where id = span.service and (history_from is null or history_from > span.first or history_to < span.last)`,
    [ids, spans.map(({ from }) => new Date(from).toISOString()), spans.map(({ to }) => new Date(to).toISOString())], 'mark_history')
  })
}

/**
 * Changes the catalog: one change at a time, so that ids follow one another and what was looked up stays so until the
 * commit. Reports and reads do not wait for it.
 */
export async function changeCatalog<T> (database: Database, work: (tx: Db, catalog: Catalog) => Promise<T>): Promise<T> {
  return transact(database, async tx => {
    await lockInTransaction(tx, LOCKS.catalog)
    return work(tx, await readCatalog(tx))
  })
}

/** What an editor says of a service; what is not there stays. */
export type ServiceChange = Partial<Pick<Service, 'name' | 'group' | 'expectedPerHour' | 'proofRequired' | 'retiredAt' | 'fallbacks' | 'dependsOn'>>

/** Adds a service, watched from `liveSince` on, under the next id; inside `changeCatalog`. */
export async function insertService (
  tx: Db, { fallbacks: lines, dependsOn, ...service }: Pick<Service, 'slug' | 'name' | 'group' | 'expectedPerHour' | 'proofRequired' | 'liveSince' | 'fallbacks' | 'dependsOn'>
): Promise<void> {
  const [last] = await tx.query<{ id: number }>('select coalesce(max(id), 0)::integer as id from services')
  const id = last!.id + 1
  await tx.orm.insert(services).values({ id, ...service })
  await replaceFallbacks(tx, id, lines)
  await replaceDependencies(tx, id, dependsOn)
}

export async function updateService (tx: Db, id: number, { fallbacks: lines, dependsOn, ...change }: ServiceChange): Promise<void> {
  if (hasMembers(change)) await tx.orm.update(services).set(change).where(eq(services.id, id))
  if (lines !== undefined) await replaceFallbacks(tx, id, lines)
  if (dependsOn !== undefined) await replaceDependencies(tx, id, dependsOn)
}

async function replaceFallbacks ({ orm }: Db, serviceId: number, lines: Service['fallbacks']): Promise<void> {
  await orm.delete(fallbacks).where(eq(fallbacks.serviceId, serviceId))
  if (lines.length > 0) await orm.insert(fallbacks).values(lines.map(line => ({ serviceId, ...line })))
}

async function replaceDependencies ({ orm }: Db, serviceId: number, others: readonly number[]): Promise<void> {
  await orm.delete(dependencies).where(eq(dependencies.serviceId, serviceId))
  if (others.length > 0) await orm.insert(dependencies).values(others.map(dependsOnId => ({ serviceId, dependsOnId })))
}

export async function insertComponent ({ orm }: Db, serviceId: number, component: Pick<Named, 'slug' | 'name'>): Promise<void> {
  await orm.insert(components).values({ serviceId, ...component })
}

export async function updateComponent ({ orm }: Db, serviceId: number, slug: string, change: Partial<Omit<Named, 'slug'>>): Promise<void> {
  if (hasMembers(change)) await orm.update(components).set(change).where(and(eq(components.serviceId, serviceId), eq(components.slug, slug)))
}

const WORDS = { 'device-class': deviceClasses, symptom: symptoms } as const
/** The words of a report that an editor can add to. */
export type WordKind = keyof typeof WORDS

export async function insertWord ({ orm }: Db, kind: WordKind, word: Pick<Named, 'slug' | 'name'>): Promise<void> {
  await orm.insert(WORDS[kind]).values(word)
}

export async function updateWord ({ orm }: Db, kind: WordKind, slug: string, change: Partial<Omit<Named, 'slug'>>): Promise<void> {
  if (hasMembers(change)) await orm.update(WORDS[kind]).set(change).where(eq(WORDS[kind].slug, slug))
}

export async function insertWorkaround ({ orm }: Db, serviceId: number, workaround: Workaround): Promise<void> {
  await orm.insert(workarounds).values({ serviceId, ...workaround })
}

export async function updateWorkaround ({ orm }: Db, id: string, change: Partial<Omit<Workaround, 'id' | 'createdAt'>>): Promise<void> {
  if (hasMembers(change)) await orm.update(workarounds).set(change).where(eq(workarounds.id, id))
}

/** Adds a source, and has its page read anew: for this service nothing on it is known. */
export async function insertSource (tx: Db, serviceId: number, source: Omit<Source, 'stale'>): Promise<void> {
  await tx.orm.insert(sources).values({ serviceId, ...source })
  await forgetPage(tx, source)
}

export async function updateSource (tx: Db, id: string, change: Partial<Omit<Source, 'id' | 'stale' | 'createdAt'>>): Promise<void> {
  if (!hasMembers(change)) return
  const [row] = await tx.orm.update(sources).set(change).where(eq(sources.id, id)).returning()
  await forgetPage(tx, row!)
}

async function forgetPage ({ orm }: Db, { url, format }: Pick<Source, 'url' | 'format'>): Promise<void> {
  await orm.delete(sourcePages).where(and(eq(sourcePages.url, url), eq(sourcePages.format, format)))
}

function hasMembers (change: object): boolean {
  return Object.keys(change).length > 0
}
