import type { Db } from './client.ts'

/** Notes that a proof was used, until it expires by itself; false when it was noted before. */
export async function spendProof (db: Db, proof: Buffer, until: Date): Promise<boolean> {
  const rows = await db.query('insert into spent_proofs (proof, expires_at) values ($1, $2) on conflict do nothing returning 1', [proof, until.toISOString()])
  return rows.length === 1
}

/** Forgets the proofs that have expired; real time. */
export async function pruneProofs (db: Db): Promise<void> {
  await db.query('delete from spent_proofs where expires_at < now()')
}
