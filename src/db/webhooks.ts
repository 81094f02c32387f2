// Webhooks: who is told of news, from which one on, and by which secret. What is on its way stands in deliveries.
import { and, asc, count, desc, eq, getTableColumns, isNull, lt, sql } from 'drizzle-orm'
import type { Db } from './client.ts'
import { isAfter, type Place } from './pages.ts'
import { deliveries, outboxHead, webhooks } from './tables.ts'

type StoredWebhook = typeof webhooks.$inferSelect
/** A webhook without its secrets. */
export type Webhook = Omit<StoredWebhook, 'secret' | 'previousSecret' | 'previousUntil'>

/** Webhooks at once, without those that are retired. */
export const WEBHOOKS_MAX = 100

const { secret: _secret, previousSecret: _previousSecret, previousUntil: _previousUntil, ...PLAIN } = getTableColumns(webhooks)
const HEAD = sql<number>`(select ${outboxHead.number} from ${outboxHead})`

/** Adds a webhook that gets the news from now on. */
export async function insertWebhook (
  { orm }: Db, webhook: Pick<Webhook, 'id' | 'url' | 'events' | 'services' | 'createdAt'> & { secret: string }
): Promise<Webhook> {
  const [row] = await orm.insert(webhooks).values({ ...webhook, enabled: true, outboxNumber: HEAD }).returning(PLAIN)
  return row!
}

export async function countWebhooks ({ orm }: Db): Promise<number> {
  const [row] = await orm.select({ found: count() }).from(webhooks).where(isNull(webhooks.retiredAt))
  return row!.found
}

/**
 * A webhook that is not retired; `for update` holds it until the transaction ends, `for key share` keeps others from doing
 * so. Whoever changes several of its deliveries does one of the two before, so that none waits for another in a circle.
 */
export async function findWebhook ({ orm }: Db, id: string, lock?: 'for update' | 'for key share'): Promise<Webhook | undefined> {
  const query = orm.select(PLAIN).from(webhooks).where(and(eq(webhooks.id, id), isNull(webhooks.retiredAt)))
  const [row] = lock === undefined ? await query : await query.for(lock === 'for update' ? 'update' : 'key share')
  return row
}

/** Webhooks that are not retired, newest first, from after `before` on. */
export async function readWebhooks ({ orm }: Db, limit: number, before?: Place): Promise<Webhook[]> {
  const { id, createdAt, retiredAt } = webhooks
  return orm.select(PLAIN).from(webhooks).where(and(isNull(retiredAt), isAfter(createdAt, id, before)))
    .orderBy(desc(createdAt), desc(id)).limit(limit)
}

/** Changes what a webhook is told, and where. */
export async function updateWebhook ({ orm }: Db, id: string, change: Partial<Pick<Webhook, 'url' | 'events' | 'services'>>): Promise<void> {
  if (Object.keys(change).length > 0) await orm.update(webhooks).set(change).where(eq(webhooks.id, id))
}

/** Switches a webhook on again: it gets the news from now on. */
export async function enableWebhook ({ orm }: Db, id: string): Promise<void> {
  await orm.update(webhooks).set({ enabled: true, disabledReason: null, outboxNumber: HEAD }).where(eq(webhooks.id, id))
}

/** Switches a webhook off and ends what was on its way. Hold it first. @param reason null: by an admin's hand. */
export async function disableWebhook (tx: Db, id: string, reason: string | null, now: Date): Promise<void> {
  await tx.orm.update(webhooks).set({ enabled: false, disabledReason: reason }).where(eq(webhooks.id, id))
  await endPending(tx, id, now)
}

/** Ends a webhook for good; its secrets are forgotten. Hold it first. */
export async function retireWebhook (tx: Db, id: string, now: Date): Promise<void> {
  await tx.orm.update(webhooks)
    .set({ enabled: false, retiredAt: now, secret: null, previousSecret: null, previousUntil: null }).where(eq(webhooks.id, id))
  await endPending(tx, id, now)
}

/** Gives a webhook another secret; the one that it had signs along until `until`. */
export async function rotateSecret ({ orm }: Db, id: string, secret: string, until: Date): Promise<void> {
  await orm.update(webhooks).set({ secret, previousSecret: sql`${webhooks.secret}`, previousUntil: until }).where(eq(webhooks.id, id))
}

/**
 * Holds the webhook that is furthest from having its deliveries up to the newest news, of those that no other instance
 * holds; undefined when none is behind.
 * @returns it and `newest`, the number up to which it can be brought.
 */
export async function holdBehind (tx: Db): Promise<{ webhook: Webhook, newest: number } | undefined> {
  const [row] = await tx.orm.select({ webhook: PLAIN, newest: outboxHead.number }).from(webhooks)
    .innerJoin(outboxHead, lt(webhooks.outboxNumber, outboxHead.number))
    .where(and(eq(webhooks.enabled, true), isNull(webhooks.retiredAt)))
    .orderBy(asc(webhooks.outboxNumber)).limit(1).for('no key update', { of: webhooks, skipLocked: true })
  return row
}

/** Notes that a webhook has its deliveries up to a number of the outbox. */
export async function bringUpTo ({ orm }: Db, id: string, number: number): Promise<void> {
  await orm.update(webhooks).set({ outboxNumber: number }).where(eq(webhooks.id, id))
}

async function endPending ({ orm }: Db, id: string, now: Date): Promise<void> {
  await orm.update(deliveries).set({ state: 'failed', nextAt: null, leasedUntil: null, endedAt: now })
    .where(and(eq(deliveries.webhookId, id), eq(deliveries.state, 'pending')))
}
