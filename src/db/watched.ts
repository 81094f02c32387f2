import { mergeStretches, type Stretch } from '../core/curves.ts'
import { MINUTE_MS } from '../core/time.ts'
import type { Db } from './client.ts'

/** Marks every minute of `[from, to]` (their starts, ms) as watched: an instance could take reports in it. */
export async function markWatched (db: Db, from: number, to: number): Promise<void> {
  const minutes: string[] = []
  for (let at = from; at <= to; at += MINUTE_MS) minutes.push(new Date(at).toISOString())
  await db.query(`insert into watched (minute) values ${minutes.map((_, i) => `($${i + 1})`).join(',')} on conflict do nothing`, minutes)
}

/** The watched minutes of `[from, to)` (ms), as stretches, ascending. */
export async function readWatched (db: Db, from: number, to: number): Promise<Stretch[]> {
  const rows = await db.query<{ first: Date, last: Date }>(`select min(minute) as first, max(minute) as last from (
      select minute, minute - row_number() over (order by minute) * interval '1 minute' as island
      from watched where minute >= $1 and minute < $2) x
    group by island order by 1`, [new Date(from).toISOString(), new Date(to).toISOString()])
  return rows.map(({ first, last }) => ({ from: first.getTime(), to: last.getTime() + MINUTE_MS }))
}

/** The minutes of `[from, to)` (ms) in which somebody watched a service, those of its imported history among them, merged. */
export async function readServiceWatched (db: Db, serviceId: number, from: number, to: number): Promise<Stretch[]> {
  const live = await readWatched(db, from, to)
  const [history] = await db.query<{ history_from: Date | null, history_to: Date | null }>(
    'select history_from, history_to from services where id = $1', [serviceId])
  const past = {
    from: Math.max(from, history?.history_from?.getTime() ?? Infinity),
    to: Math.min(to, (history?.history_to?.getTime() ?? -Infinity) + MINUTE_MS)
  }
  return past.from < past.to ? mergeStretches([past, ...live]) : live
}
