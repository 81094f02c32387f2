import { DAY_MS, dayOf } from '../core/time.ts'
import { LOCKS, lockInTransaction, transact, type Database, type Db } from './client.ts'

/** The tables kept in one partition a UTC day. */
export type DailyTable = 'reports' | 'salts'

/** Makes the partitions of the days in `[from, to]` that are missing. Attaching does not block who reads or writes. */
export async function ensurePartitions (database: Database, table: DailyTable, from: number, to: number): Promise<void> {
  await transact(database, async tx => {
    await lockInTransaction(tx, LOCKS.partitions)
    const existing = new Set(await readPartitionDays(tx, table))
    for (let at = from; at <= to; at += DAY_MS) {
      const day = dayOf(at)
      if (existing.has(day)) continue
      const name = partitionName(table, day)
      await tx.query(`create table ${name} (like ${table} including defaults including constraints)`)
      await tx.query(`alter table ${table} attach partition ${name} for values from ('${day}T00:00:00Z') to ('${dayOf(at + DAY_MS)}T00:00:00Z')`)
    }
  })
}

/** Drops the partitions of days before `before`, an ISO date; returns how many. */
export async function dropPartitions (db: Db, table: DailyTable, before: string): Promise<number> {
  const old = (await readPartitionDays(db, table)).filter(day => day < before)
  for (const day of old) await db.query(`drop table if exists ${partitionName(table, day)}`)
  return old.length
}

/** The days (ISO dates) of which `table` has a partition, ascending. */
export async function readPartitionDays (db: Db, table: DailyTable): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    'select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::regclass', [table])
  return rows.map(({ name }) => name.slice(-8).replace(/^(\d{4})(\d\d)(\d\d)$/, '$1-$2-$3')).sort()
}

function partitionName (table: DailyTable, day: string): string {
  return `${table}_${day.replaceAll('-', '')}`
}
