import { desc, eq } from 'drizzle-orm'
import { DAY_MS, floorTo } from '../core/time.ts'
import type { Db } from './client.ts'
import { isAfter, type Place } from './pages.ts'
import { tokens } from './tables.ts'

export type Token = typeof tokens.$inferSelect
/** A token without the hash of its secret. */
export type PlainToken = Omit<Token, 'secretHash'>

export async function insertToken ({ orm }: Db, token: Token): Promise<void> {
  await orm.insert(tokens).values(token)
}

/** One token; `for update` holds it until the transaction ends. */
export async function findToken ({ orm }: Db, id: string, lock?: 'for update'): Promise<Token | undefined> {
  const query = orm.select().from(tokens).where(eq(tokens.id, id))
  const [token] = lock === undefined ? await query : await query.for('update')
  return token
}

/** Tokens, newest first, from after `before` on; the hash of a secret stays here. */
export async function readTokens ({ orm }: Db, limit: number, before?: Place): Promise<PlainToken[]> {
  const { id, name, scopes, createdAt, expiresAt, lastUsedAt, revokedAt } = tokens
  return orm.select({ id, name, scopes, createdAt, expiresAt, lastUsedAt, revokedAt }).from(tokens)
    .where(isAfter(createdAt, id, before))
    .orderBy(desc(createdAt), desc(id)).limit(limit)
}

/** Changes a token that is there, and returns it as it is now. */
export async function updateToken ({ orm }: Db, id: string, change: Partial<Pick<Token, 'name' | 'scopes' | 'expiresAt' | 'revokedAt'>>): Promise<Token> {
  const query = orm.update(tokens)
  const [token] = Object.keys(change).length === 0
    ? await orm.select().from(tokens).where(eq(tokens.id, id))
    : await query.set(change).where(eq(tokens.id, id)).returning()
  return token!
}

/** Notes that a token, as it was read, is used now, to the day: one statement a day and token, not one a call. */
export async function touchToken (db: Db, { id, lastUsedAt }: Pick<Token, 'id' | 'lastUsedAt'>, now: Date): Promise<void> {
  if (lastUsedAt !== null && lastUsedAt.getTime() >= floorTo(now.getTime(), DAY_MS)) return
  await db.query(`update tokens set last_used_at = date_bin('1 day', $2, '1970-01-01T00:00:00Z')
    where id = $1 and (last_used_at is null or last_used_at < date_bin('1 day', $2, '1970-01-01T00:00:00Z'))`, [id, now.toISOString()])
}
