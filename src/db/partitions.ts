// Tables kept in one partition a UTC day. The owner's functions make and drop them: the service's role may not.
import { dayOf, DAY_MS, floorTo } from '../core/time.ts'
import type { Db } from './client.ts'

/** The tables kept in one partition a UTC day. */
export type DailyTable = 'reports' | 'salts'

/**
 * Makes the partitions of the days in `[from, to]` (ms) that are missing. Safe on two instances at once. A statement for
 * each that is missing: where the tables are distributed a day takes a tenth of a second, and no statement may take long.
 */
export async function ensurePartitions (db: Db, table: DailyTable, from: number, to: number): Promise<void> {
  const known = new Set(await readPartitionDays(db, table))
  for (let day = floorTo(from, DAY_MS); day <= to; day += DAY_MS) {
    if (!known.has(dayOf(day))) await db.query('select ensure_days($1, $2, $2)', [table, dayOf(day)])
  }
}

/**
 * Drops the partitions of days before `before`, an ISO date; returns how many.
 * @throws DatabaseError 42501 when one of them is inside the retention by the database's own clock.
 */
export async function dropPartitions (db: Db, table: DailyTable, before: string): Promise<number> {
  const [row] = await db.query<{ dropped: number }>('select drop_days($1, $2) as dropped', [table, before])
  return row!.dropped
}

/** The days (ISO dates) of which `table` has a partition, ascending. */
export async function readPartitionDays (db: Db, table: DailyTable): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    'select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::regclass', [table])
  return rows.map(({ name }) => name.slice(-8).replace(/^(\d{4})(\d\d)(\d\d)$/, '$1-$2-$3')).sort()
}
