// The catalog: what there is to report about.
import { sql } from 'drizzle-orm'
import { catalog as seed, type Catalog as Seed } from './catalog.ts'
import { transact, type Database, type Db } from './client.ts'
import { requestRejudge } from './detector.ts'
import { components, deviceClasses, fallbacks, services, symptoms } from './tables.ts'

/** A thing people can name: by its slug in the API, by its name on a page. */
export interface Named { slug: string, name: string }

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
}

/** The whole catalog at one moment, ascending by slug. */
export interface Catalog {
  services: ReadonlyMap<string, Service>
  deviceClasses: ReadonlyMap<string, Named>
  symptoms: ReadonlyMap<string, Named>
}

/** Reads the catalog whole: some hundreds of rows. */
export async function readCatalog ({ orm }: Db): Promise<Catalog> {
  const [serviceRows, componentRows, fallbackRows, deviceClassRows, symptomRows] = await Promise.all([
    orm.select().from(services).orderBy(sql`slug collate "C"`),
    orm.select().from(components).orderBy(sql`slug collate "C"`),
    orm.select().from(fallbacks).orderBy(sql`device_class collate "C"`),
    orm.select().from(deviceClasses).orderBy(sql`slug collate "C"`),
    orm.select().from(symptoms).orderBy(sql`slug collate "C"`)
  ])
  return {
    services: new Map(serviceRows.map(service => [service.slug, {
      ...service,
      components: componentRows.filter(({ serviceId }) => serviceId === service.id).map(({ slug, name }) => ({ slug, name })),
      fallbacks: fallbackRows.filter(({ serviceId }) => serviceId === service.id)
        .map(({ deviceClass, fallback }) => ({ deviceClass, fallback }))
    }])),
    deviceClasses: new Map(deviceClassRows.map(row => [row.slug, row])),
    symptoms: new Map(symptomRows.map(row => [row.slug, row]))
  }
}

/** Fills an empty catalog from the seed; one that has services is left as its operators made it. */
export async function seedCatalog (database: Database, data: Seed = seed): Promise<void> {
  await transact(database, async tx => {
    await tx.query('lock table services in share row exclusive mode')
    const known = await tx.query('select 1 from services limit 1')
    if (known.length > 0) return
    await tx.orm.insert(deviceClasses).values(data.deviceClasses)
    await tx.orm.insert(symptoms).values(data.symptoms)
    const numbered = data.services.map((service, index) => ({ id: index + 1, ...service }))
    await tx.orm.insert(services).values(numbered.map(({ id, slug, name, group, expectedPerHour }) => ({ id, slug, name, group, expectedPerHour })))
    await tx.orm.insert(components).values(numbered.flatMap(({ id, components }) => components.map(part => ({ serviceId: id, ...part }))))
    await tx.orm.insert(fallbacks).values(numbered.flatMap(({ id, fallbacks }) =>
      Object.entries(fallbacks).map(([deviceClass, fallback]) => ({ serviceId: id, deviceClass, fallback }))))
  })
}

/** From `since` (a minute's start) on we watch every service that nobody watched before. */
export async function beginWatching (db: Db, since: Date): Promise<void> {
  await db.query('update services set live_since = $1 where live_since is null', [since.toISOString()])
}

/**
 * Notes, before they are committed, which minutes of before `live_since` an import brings, and asks for the service
 * to be judged again. Marks without reports are harmless; reports without their mark would never be judged.
 * @param from first and `to` last imported minute, ms.
 */
export async function markHistory (database: Database, serviceId: number, from: number, to: number, now: Date): Promise<void> {
  await transact(database, async tx => {
    await tx.query(`update services set history_from = least(history_from, $2), history_to = greatest(history_to, $3)
      where id = $1 and (history_from is null or history_from > $2 or history_to < $3)`,
    [serviceId, new Date(from).toISOString(), new Date(to).toISOString()])
    await requestRejudge(tx, serviceId, now)
  })
}
