// The outbox: what listeners are told, numbered in the order of commits. Who tells them stands in http/live and jobs/deliver.
import { and, inArray } from 'drizzle-orm'
import { v7 as uuid7 } from 'uuid'
import { asOf, tellOutage } from '../core/telling.ts'
import type { NewsType, OutageState, TransitionType } from '../core/vocabulary.ts'
import type { Db } from './client.ts'
import { readBeside } from './related.ts'
import { readCatalog } from './services.ts'
import { outages } from './tables.ts'

/** The channel on which the database wakes those who wait for news; the outbox itself is the truth. */
export const NEWS_CHANNEL = 'groundswell_news'
/** News are kept this long, days: longer than a webhook is tried, and than a reader should need to come back. */
export const NEWS_KEPT_DAYS = 7

/** Something that changed about an outage; `state`: the one it entered, where that is no longer the one it is in. */
export interface Change { type: NewsType, serviceId: number, outageId: string, at: Date, state?: OutageState }

/** What the detector's step is told as. */
export function newsOf (type: TransitionType): NewsType {
  return type === 'moved' ? 'outage.updated' : `outage.${type}`
}

/** One news as it is told. `data` is the outage without its timeline, as JSON; its members as in `GET /v1/outages`. */
export interface News { number: number, id: string, at: Date, type: NewsType, serviceId: number, outageId: string, data: string }

/**
 * Writes down, in the transaction that makes a change, what listeners are told of it. Call it last: whoever writes holds
 * the outbox until the commit, so that its numbers commit in order. Outages of imported history wake nobody.
 */
export async function announce (tx: Db, changes: readonly Change[]): Promise<void> {
  if (changes.length === 0) return
  const rows = (await tx.orm.select().from(outages).where(and(
    inArray(outages.serviceId, changes.map(({ serviceId }) => serviceId)), inArray(outages.id, changes.map(({ outageId }) => outageId))
  ))).filter(({ retrospective }) => !retrospective)
  const catalog = await readCatalog(tx)
  const services = new Map([...catalog.services.values()].map(service => [service.id, service]))
  const beside = await readBeside(tx, rows, catalog)
  const told = changes.flatMap(change => {
    const row = rows.find(({ id }) => id === change.outageId)
    if (row === undefined) return []
    const outage = change.state === undefined ? row : asOf(row, change.state)
    return [{ ...change, data: JSON.stringify(tellOutage(outage, beside.get(row.id)!, services.get(row.serviceId)!, catalog.deviceClasses)) }]
  })
  if (told.length === 0) return
  const [head] = await tx.query<{ number: string }>('update outbox_head set number = number + $1 returning number', [told.length])
  const first = Number(head!.number) - told.length + 1
  for (const [index, { type, serviceId, outageId, at, data }] of told.entries()) {
    await tx.query('insert into outbox (number, id, at, type, service_id, outage_id, data) values ($1, $2, $3, $4, $5, $6, $7)',
      [first + index, uuid7(), at.toISOString(), type, serviceId, outageId, data])
  }
  await tx.query('select pg_notify($1, \'\')', [NEWS_CHANNEL])
}

/** News with a number greater than `after`, ascending, at most `limit`; of one service or of all. */
export async function readNews (db: Db, after: number, limit: number, serviceId?: number): Promise<News[]> {
  const rows = await db.query<{ number: string, id: string, at: Date, type: NewsType, service_id: number, outage_id: string, data: string }>(
    `select number, id, at, type, service_id, outage_id, data::text as data from outbox
      where number > $1 and ($3::integer is null or service_id = $3) order by number limit $2`, [after, limit, serviceId ?? null])
  return rows.map(row => ({
    number: Number(row.number), id: row.id, at: row.at, type: row.type, serviceId: row.service_id, outageId: row.outage_id, data: row.data
  }))
}

/** The number of the newest news (0: none ever) and of the oldest that is still kept (one more than the newest: none is). */
export async function findNewsRange (db: Db): Promise<{ oldest: number, newest: number }> {
  const [row] = await db.query<{ oldest: string | null, newest: string }>(
    'select (select min(number) from outbox) as oldest, number as newest from outbox_head')
  const newest = Number(row!.newest)
  return { oldest: row!.oldest === null ? newest + 1 : Number(row!.oldest), newest }
}

/** Forgets news that nobody needs any more. */
export async function pruneNews (db: Db): Promise<void> {
  await db.query('delete from outbox where written_at < now() - make_interval(days => $1)', [NEWS_KEPT_DAYS])
}
