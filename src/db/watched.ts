import { mergeStretches, type Stretch } from '../core/curves.ts'
import type { WatchBounds } from '../core/history.ts'
import { floorTo, MINUTE_MS } from '../core/time.ts'
import type { Db } from './client.ts'

/** Marks every minute of `[from, to]` (their starts, ms) as watched: an instance could take reports in it. */
export async function markWatched (db: Db, from: number, to: number): Promise<void> {
  const minutes: string[] = []
  for (let at = from; at <= to; at += MINUTE_MS) minutes.push(new Date(at).toISOString())
  await db.query(`insert into watched (minute) values ${minutes.map((_, i) => `($${i + 1})`).join(',')} on conflict do nothing`, minutes)
}

/** The watched minutes of `[from, to)` (ms), as stretches, ascending and merged. */
export async function readWatched (db: Db, from: number, to: number): Promise<Stretch[]> {
  const rows = await db.query<{ since: Date, until: Date }>(`select min(minute) as since, max(minute) + interval '1 minute' as until from (
      select minute, minute - row_number() over (order by minute) * interval '1 minute' as island
      from watched where minute >= $1 and minute < $2) x
    group by island
    union all select greatest(since, $1), least(until, $2) from watched_stretches where since < $2 and until > $1
    order by since`, [ceilToMinute(from), ceilToMinute(to)])
  return mergeStretches(rows.map(({ since, until }) => ({ from: since.getTime(), to: until.getTime() })))
}

/** The minutes of `[from, to)` (ms) in which somebody watched a service, those of its imported history among them, merged. */
export async function readServiceWatched (db: Db, serviceId: number, from: number, to: number): Promise<Stretch[]> {
  const watched = await readWatchedOf(db, [serviceId], from, to)
  return watched.get(serviceId)!
}

/** The same of several services, by service. */
export async function readWatchedOf (db: Db, serviceIds: readonly number[], from: number, to: number): Promise<Map<number, Stretch[]>> {
  const live = await readWatched(db, from, to)
  const histories = await db.query<{ id: number, history_from: Date | null, history_to: Date | null }>(
    'select id, history_from, history_to from services where id = any($1)', [serviceIds])
  return new Map(serviceIds.map(serviceId => {
    const history = histories.find(({ id }) => id === serviceId)
    const past = {
      from: Math.max(from, history?.history_from?.getTime() ?? Infinity),
      to: Math.min(to, (history?.history_to?.getTime() ?? -Infinity) + MINUTE_MS)
    }
    return [serviceId, past.from < past.to ? mergeStretches([past, ...live]) : live]
  }))
}

/** Since when (ms) a service is watched, and which minutes its imported history covers; as the tables have it now. */
export async function findWatchBounds (db: Db, serviceId: number): Promise<WatchBounds> {
  const [row] = await db.query<{ live_since: Date | null, history_from: Date | null, history_to: Date | null }>(
    'select live_since, history_from, history_to from services where id = $1', [serviceId])
  const { live_since: liveSince = null, history_from: from = null, history_to: to = null } = row ?? {}
  return {
    liveSince: liveSince?.getTime() ?? null,
    history: from === null || to === null ? null : { from: from.getTime(), to: to.getTime() + MINUTE_MS }
  }
}

/** How many minutes of each stretch (ms) are watched, in the stretches' order: counted where they are stored. */
export async function countWatched (db: Db, stretches: readonly Stretch[]): Promise<number[]> {
  if (stretches.length === 0) return []
  const rows = await db.query<{ count: number }>(`select (select count(*) from watched where minute >= part.since and minute < part.until)::integer
      + (select coalesce(sum(extract(epoch from least(w.until, part.until) - greatest(w.since, part.since))), 0) / 60
        from watched_stretches w where w.since < part.until and w.until > part.since)::integer as count
    from unnest($1::timestamptz[], $2::timestamptz[]) with ordinality part(since, until, number) order by number`,
  [stretches.map(({ from }) => ceilToMinute(from)), stretches.map(({ to }) => ceilToMinute(to))])
  return rows.map(({ count }) => count)
}

/** A minute belongs to a stretch when it begins in it, whether its mark is kept or the stretch it became part of. */
function ceilToMinute (at: number): string {
  return new Date(-floorTo(-at, MINUTE_MS)).toISOString()
}
