import { desc, eq, sql } from 'drizzle-orm'
import type { Db } from './client.ts'
import { tokens } from './tables.ts'

export type Token = typeof tokens.$inferSelect

export async function insertToken ({ orm }: Db, token: Pick<Token, 'id' | 'name' | 'secretHash' | 'scopes' | 'createdAt' | 'expiresAt'>): Promise<void> {
  await orm.insert(tokens).values(token)
}

export async function findToken ({ orm }: Db, id: string): Promise<Token | undefined> {
  const [token] = await orm.select().from(tokens).where(eq(tokens.id, id))
  return token
}

/** All tokens, newest first; the hash of a secret stays here. */
export async function readTokens ({ orm }: Db): Promise<Omit<Token, 'secretHash'>[]> {
  const { id, name, scopes, createdAt, expiresAt, lastUsedAt, revokedAt } = tokens
  return orm.select({ id, name, scopes, createdAt, expiresAt, lastUsedAt, revokedAt }).from(tokens).orderBy(desc(createdAt), desc(id))
}

/** Revokes a token at once; false when there is none of this id that was still good. */
export async function revokeToken ({ orm }: Db, id: string, now: Date): Promise<boolean> {
  const revoked = await orm.update(tokens).set({ revokedAt: now })
    .where(sql`${tokens.id} = ${id} and ${tokens.revokedAt} is null`).returning({ id: tokens.id })
  return revoked.length === 1
}

/** Notes that a token was used, to the day: one write a day and token. */
export async function touchToken (db: Db, id: string, now: Date): Promise<void> {
  await db.query(`update tokens set last_used_at = date_bin('1 day', $2, '1970-01-01T00:00:00Z')
    where id = $1 and (last_used_at is null or last_used_at < date_bin('1 day', $2, '1970-01-01T00:00:00Z'))`, [id, now.toISOString()])
}
