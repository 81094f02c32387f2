// Deliveries: one news on its way to one webhook, and how each attempt went. Who sends them stands in jobs/deliver.
import { and, asc, count, desc, eq, gt, gte, inArray, lt, sql } from 'drizzle-orm'
import type { DeliveryState } from '../core/vocabulary.ts'
import type { Outcome } from '../core/webhooks.ts'
import type { Db } from './client.ts'
import { deliveries, deliveryAttempts, services } from './tables.ts'

/** Deliveries are kept this long after they ended, days; nothing is tried for longer. */
export const DELIVERIES_KEPT_DAYS = 7
/** Attempts that are told of one delivery: the newest. */
const ATTEMPTS_TOLD_MAX = 20

export type Delivery = typeof deliveries.$inferSelect
export type Attempt = typeof deliveryAttempts.$inferSelect

/** The slugs of services, by the numbers that news carry. */
export async function readSlugs ({ orm }: Db, serviceIds: readonly number[]): Promise<Map<number, string>> {
  const rows = await orm.select({ id: services.id, slug: services.slug }).from(services).where(inArray(services.id, [...serviceIds]))
  return new Map(rows.map(({ id, slug }) => [id, slug]))
}

/** Queues news for one webhook, behind what of their outages waits already; what it has stays as it is. */
export async function insertDeliveries (
  { orm }: Db, rows: readonly Pick<Delivery, 'webhookId' | 'number' | 'serviceId' | 'outageId' | 'type' | 'messageId' | 'body'>[], now: Date
): Promise<void> {
  if (rows.length === 0) return
  const [{ webhookId }] = rows as [typeof rows[0]]
  const waiting = new Map((await orm.select({ outageId: deliveries.outageId, nextAt: sql<Date>`max(${deliveries.nextAt})`.mapWith(deliveries.nextAt) })
    .from(deliveries).where(and(
      eq(deliveries.webhookId, webhookId), eq(deliveries.state, 'pending'), inArray(deliveries.outageId, rows.map(({ outageId }) => outageId))
    )).groupBy(deliveries.outageId)).map(({ outageId, nextAt }) => [outageId, nextAt]))
  const nextOf = (outageId: string) => new Date(Math.max(now.getTime(), waiting.get(outageId)?.getTime() ?? 0))
  await orm.insert(deliveries).values(rows.map(row => ({
    ...row, state: 'pending' as const, nextAt: nextOf(row.outageId), createdAt: now
  }))).onConflictDoNothing()
}

/**
 * What may be sent at `$1`: due, with nobody, and the first of its outage to its webhook that is pending. So news of one
 * outage arrive in order, and outages do not wait for each other. What waits behind another is mostly not due either, so
 * that a long queue costs nothing.
 */
const SENDABLE = `d.state = 'pending' and d.next_at <= $1 and (d.leased_until is null or d.leased_until <= $1)
  and not exists (select 1 from deliveries earlier where earlier.webhook_id = d.webhook_id and earlier.outage_id = d.outage_id
    and earlier.state = 'pending' and earlier.number < d.number)`

/** Webhooks that something may be sent to, and how many deliveries, counted to `countMax`. */
export async function readDue (db: Db, countMax: number, now: Date): Promise<{ webhookId: string, count: number }[]> {
  return db.query(`select id as "webhookId", count from webhooks, lateral (
      select count(*)::integer from (select from deliveries d where d.webhook_id = webhooks.id and ${SENDABLE} limit $2) due
    ) counted where enabled and count > 0`, [now.toISOString(), countMax])
}

/** A delivery that is this instance's to send until `leasedUntil`, and how. */
export interface Claimed {
  webhookId: string
  number: number
  messageId: string
  body: string
  rung: number
  leasedUntil: Date
  url: string
  secret: string
  previousSecret: string | null
  previousUntil: Date | null
}

/**
 * Takes the delivery to a webhook that has waited longest, if one may be sent. Two instances never take the same; of one
 * that dies with it, it is free again at `leasedUntil`.
 */
export async function claimDelivery (db: Db, webhookId: string, leasedUntil: Date, now: Date): Promise<Claimed | undefined> {
  const [row] = await db.query<Omit<Claimed, 'number' | 'leasedUntil'> & { number: string }>(`with due as (
      select d.webhook_id, d.number from deliveries d where d.webhook_id = $2 and ${SENDABLE}
      order by d.next_at, d.number limit 1 for update skip locked
    ) update deliveries d set leased_until = $3 from due, webhooks w
      where d.webhook_id = due.webhook_id and d.number = due.number and w.id = d.webhook_id and w.enabled
      returning d.webhook_id as "webhookId", d.number, d.message_id as "messageId", d.body, d.rung, w.url, w.secret,
        w.previous_secret as "previousSecret", w.previous_until as "previousUntil"`, [now.toISOString(), webhookId, leasedUntil.toISOString()])
  return row === undefined ? undefined : { ...row, number: Number(row.number), leasedUntil }
}

type Lease = Pick<Claimed, 'webhookId' | 'number' | 'leasedUntil'>

function isHeld ({ webhookId, number, leasedUntil }: Lease) {
  return and(eq(deliveries.webhookId, webhookId), eq(deliveries.number, number), eq(deliveries.state, 'pending'), eq(deliveries.leasedUntil, leasedUntil))
}

/** Gives a delivery back that was not sent, or of which nobody knows whether it was. */
export async function releaseDelivery ({ orm }: Db, lease: Lease): Promise<void> {
  await orm.update(deliveries).set({ leasedUntil: null }).where(isHeld(lease))
}

/**
 * Writes down how an attempt went and what becomes of the delivery and, behind it, of its outage's; in a transaction.
 * @returns false, with nothing written, when the delivery is no longer this instance's.
 */
export async function recordAttempt (
  { orm }: Db, lease: Lease, { at, status, error, tookMs }: Pick<Attempt, 'at' | 'status' | 'error' | 'tookMs'>, outcome: Outcome, now: Date
): Promise<boolean> {
  const [row] = await orm.update(deliveries).set({
    state: outcome.state,
    attempts: sql`${deliveries.attempts} + 1`,
    rung: sql`${deliveries.rung} + 1`,
    leasedUntil: null,
    ...(outcome.state === 'pending' ? { nextAt: outcome.nextAt } : { nextAt: null, endedAt: now })
  }).where(isHeld(lease)).returning({ attempt: deliveries.attempts, outageId: deliveries.outageId })
  if (row === undefined) return false
  const { webhookId, number } = lease
  await orm.insert(deliveryAttempts).values({ webhookId, number, attempt: row.attempt, at, status, error, tookMs })
  const { nextAt } = deliveries
  await orm.update(deliveries).set({ nextAt: outcome.state === 'pending' ? outcome.nextAt : now }).where(and(
    eq(deliveries.webhookId, webhookId), eq(deliveries.outageId, row.outageId), eq(deliveries.state, 'pending'), gt(deliveries.number, number),
    outcome.state === 'pending' ? lt(nextAt, outcome.nextAt) : gt(nextAt, now)
  ))
  return true
}

/** Whether a webhook has taken anything since. */
export async function hasTaken ({ orm }: Db, webhookId: string, since: Date): Promise<boolean> {
  const [row] = await orm.select({ found: count() }).from(deliveries)
    .where(and(eq(deliveries.webhookId, webhookId), eq(deliveries.state, 'delivered'), gte(deliveries.endedAt, since)))
  return row!.found > 0
}

/** Deliveries to a webhook, newest first, with numbers below `before`. */
export async function readDeliveries (
  { orm }: Db, webhookId: string, state: DeliveryState | undefined, limit: number, before?: number
): Promise<Delivery[]> {
  return orm.select().from(deliveries).where(and(
    eq(deliveries.webhookId, webhookId),
    state === undefined ? undefined : eq(deliveries.state, state),
    before === undefined ? undefined : lt(deliveries.number, before)
  )).orderBy(desc(deliveries.number)).limit(limit)
}

/** How the attempts of some deliveries to one webhook went, ascending; of each the newest. */
export async function readAttempts ({ orm }: Db, webhookId: string, numbers: readonly number[]): Promise<Attempt[]> {
  if (numbers.length === 0) return []
  const rows = await orm.select({ attempt: deliveryAttempts }).from(deliveryAttempts)
    .innerJoin(deliveries, and(eq(deliveries.webhookId, deliveryAttempts.webhookId), eq(deliveries.number, deliveryAttempts.number)))
    .where(and(
      eq(deliveryAttempts.webhookId, webhookId), inArray(deliveryAttempts.number, [...numbers]),
      sql`${deliveryAttempts.attempt} > ${deliveries.attempts} - ${ATTEMPTS_TOLD_MAX}`
    )).orderBy(asc(deliveryAttempts.number), asc(deliveryAttempts.attempt))
  return rows.map(({ attempt }) => attempt)
}

/** A delivery by the id of its news; held until the transaction ends. */
export async function holdDelivery (tx: Db, webhookId: string, messageId: string): Promise<Delivery | undefined> {
  const [row] = await tx.orm.select().from(deliveries)
    .where(and(eq(deliveries.webhookId, webhookId), eq(deliveries.messageId, messageId))).for('update')
  return row
}

/** Queues a delivery again, from the first rung of the ladder, whatever became of it; one that is being sent stays so. */
export async function requeueDelivery ({ orm }: Db, { webhookId, number }: Pick<Delivery, 'webhookId' | 'number'>, now: Date): Promise<Delivery> {
  const [row] = await orm.update(deliveries).set({ state: 'pending', rung: 0, nextAt: now, endedAt: null })
    .where(and(eq(deliveries.webhookId, webhookId), eq(deliveries.number, number))).returning()
  return row!
}

/** Forgets deliveries that ended long ago with their attempts, and ends those that have been tried for as long. */
export async function pruneDeliveries (db: Db): Promise<void> {
  await db.query(`delete from deliveries where state <> 'pending' and ended_at < now() - make_interval(days => ${DELIVERIES_KEPT_DAYS})`)
  await db.query(`update deliveries set state = 'failed', next_at = null, leased_until = null, ended_at = now()
    where state = 'pending' and created_at < now() - make_interval(days => ${DELIVERIES_KEPT_DAYS})`)
}
