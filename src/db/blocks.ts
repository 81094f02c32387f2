// Blocks: addresses and networks whose reports moderators hold back.
import { and, desc, eq, gt, isNull, or } from 'drizzle-orm'
import type { Db } from './client.ts'
import { isAfter, type Place } from './pages.ts'
import { blocks } from './tables.ts'

export type StoredBlock = typeof blocks.$inferSelect

/** Blocks that may be in force at once. */
export const BLOCKS_MAX = 10_000

export async function insertBlock ({ orm }: Db, block: StoredBlock): Promise<void> {
  await orm.insert(blocks).values(block)
}

/** A block that was not lifted; `for update` holds it until the transaction ends. */
export async function findBlock ({ orm }: Db, id: string, lock?: 'for update'): Promise<StoredBlock | undefined> {
  const query = orm.select().from(blocks).where(and(eq(blocks.id, id), isNull(blocks.liftedAt)))
  const [block] = lock === undefined ? await query : await query.for('update')
  return block
}

export async function liftBlock ({ orm }: Db, id: string, now: Date): Promise<void> {
  await orm.update(blocks).set({ liftedAt: now }).where(eq(blocks.id, id))
}

/** The blocks in force at `now`. */
export async function readBlocksInForce ({ orm }: Db, now: Date): Promise<StoredBlock[]> {
  return orm.select().from(blocks).where(and(isNull(blocks.liftedAt), or(isNull(blocks.expiresAt), gt(blocks.expiresAt, now)))).limit(BLOCKS_MAX)
}

/** Blocks that were not lifted, newest first; `before` is the last of the page before. */
export async function readBlocks ({ orm }: Db, limit: number, before?: Place): Promise<StoredBlock[]> {
  const { createdAt, id, liftedAt } = blocks
  return orm.select().from(blocks).where(and(isNull(liftedAt), isAfter(createdAt, id, before)))
    .orderBy(desc(createdAt), desc(id)).limit(limit)
}
