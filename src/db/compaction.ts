// Windows are copied into wider ones, and deleted when they are past the time of their width; marks and baselines are moved.
// A piece a transaction: again, late, or twice at once is harmless. When, and how many pieces, is for jobs to say.
import type { ScopeExpectation } from '../core/baseline.ts'
import { expandExpectation, flattenExpectation, mergeStretches, type FlatExpectation, type Stretch } from '../core/curves.ts'
import { DAY_MS, floorTo, HOUR_MS, MINUTE_MS } from '../core/time.ts'
import { LOCKS, retryConflicts, transactUnderLock, type Database, type Db } from './client.ts'
import { readWatched } from './watched.ts'
import { instantOf, readMarks, widen, type Marks } from './windows.ts'

/** Services whose baselines are in memory at once; one hour of one is up to 12 kB. */
const SERVICES_PER_PIECE = 50

const iso = (at: number) => new Date(at).toISOString()

/**
 * Copies the oldest hour of minutes that is not yet in `windows_1h`, and ends by `before` (ms), there. Under the rollup's
 * lock, since a recount of a copied minute renews its copies. @returns whether one was copied.
 */
export async function copyHours (database: Database, before: number): Promise<boolean> {
  return copyOldest(database, 'select min(minute) as oldest from windows where minute >= $1', HOUR_MS, () => before, 'hours_until', COPY_HOURS)
}

/** The same with hours, days and `windows_1d`: no day before all of its hours. */
export async function copyDays (database: Database, before: number): Promise<boolean> {
  return copyOldest(database, 'select min(hour) as oldest from windows_1h where hour >= $1', DAY_MS,
    marks => Math.min(before, floorTo(marks.hours_until, DAY_MS)), 'days_until', COPY_DAYS)
}

/** @param find the oldest that is not copied yet, from `$1` on. @param reachOf how far it may go (ms) by the marks as they are. */
async function copyOldest (
  database: Database, find: string, pieceMs: number, reachOf: (marks: Marks) => number, mark: 'hours_until' | 'days_until', copy: string
): Promise<boolean> {
  return retryConflicts(() => transactUnderLock(database, LOCKS.rollup, async tx => {
    const marks = await readMarks(tx)
    const reach = reachOf(marks)
    if (marks[mark] >= reach) return false
    const [row] = await tx.query<{ oldest: Date | null }>(find, [instantOf(marks[mark])])
    // What nobody reported in is passed over.
    const from = row!.oldest === null ? reach : Math.min(reach, floorTo(row!.oldest.getTime(), pieceMs))
    if (from < reach) await tx.query(copy, [iso(from), iso(from + pieceMs)])
    await tx.query(`update compacted set ${mark} = $1`, [iso(Math.min(reach, from + pieceMs))])
    return from < reach
  }))
}

const COPY_HOURS = widen('windows', 'minute', 'windows_1h', 'hour', '$1::timestamptz, $2::timestamptz')
const COPY_DAYS = widen('windows_1h', 'hour', 'windows_1d', 'day', '$1::timestamptz, $2::timestamptz')

/**
 * Deletes the oldest hour of minutes before `before` (ms), once it is copied. One whose raw reports are still there, or
 * that is stale, is left alone: it may yet be recounted. @returns whether an hour was deleted.
 */
export async function dropMinutes (database: Database, before: number): Promise<boolean> {
  return moveOldest(database, LOCKS.rollup, 'select min(minute) as oldest from windows', HOUR_MS, before, async (tx, from, to) => {
    const span = [iso(from), iso(to)]
    const raw = await tx.query('select 1 from reports where interval_at >= $1 and interval_at < $2 limit 1', span)
    const stale = await tx.query('select 1 from stale_minutes where minute >= $1 and minute < $2 limit 1', span)
    if (raw.length > 0 || stale.length > 0 || !await advance(tx, 'minutes_from', 'hours_until', to)) return false
    await tx.query('delete from windows where minute >= $1 and minute < $2', span)
    return true
  })
}

/** Deletes the oldest day of hours before `before` (ms), once it is copied; whole, since it is read from one of both. @returns whether one was deleted. */
export async function dropHours (database: Database, before: number): Promise<boolean> {
  return moveOldest(database, LOCKS.rollup, 'select min(hour) as oldest from windows_1h', DAY_MS, before, async (tx, from, to) => {
    if (!await advance(tx, 'hours_from', 'days_until', to)) return false
    await tx.query('delete from windows_1h where hour >= $1 and hour < $2', [iso(from), iso(to)])
    return true
  })
}

/** Moves a mark on to `to`, if what it leaves behind is copied. */
async function advance (tx: Db, mark: string, copiedUntil: string, to: number): Promise<boolean> {
  const rows = await tx.query(`update compacted set ${mark} = greatest(${mark}, $1) where ${copiedUntil} >= $1 returning one`, [iso(to)])
  return rows.length === 1
}

/** Moves the oldest day's marks before `before` (ms) into stretches. @returns whether there were any. */
export async function compactWatched (database: Database, before: number): Promise<boolean> {
  return moveOldest(database, LOCKS.compaction, 'select min(minute) as oldest from watched', DAY_MS, before, async (tx, from, to) => {
    const marked = await readWatched(tx, from, to)
    const touching = await tx.query<{ since: Date, until: Date }>(
      'delete from watched_stretches where since <= $2 and until >= $1 returning since, until', [iso(from), iso(to)])
    const merged = mergeStretches([...marked, ...touching.map(({ since, until }) => ({ from: since.getTime(), to: until.getTime() }))])
    await tx.query('insert into watched_stretches (since, until) select * from unnest($1::timestamptz[], $2::timestamptz[])',
      [merged.map(stretch => iso(stretch.from)), merged.map(stretch => iso(stretch.to))])
    await tx.query('delete from watched where minute >= $1 and minute < $2', [iso(from), iso(to)])
    return true
  })
}

/**
 * Flattens baselines of the oldest hour before `before` (ms), of some services at once. Hours that nobody watched leave
 * nothing: no window shows what was expected in them. @returns whether there were any.
 */
export async function compactBaselines (database: Database, before: number): Promise<boolean> {
  return moveOldest(database, LOCKS.compaction, 'select min(hour) as oldest from baselines', HOUR_MS, before, async (tx, hour) => {
    const rows = await tx.query<{ service_id: number, scopes: Record<string, ScopeExpectation> }>(
      'select service_id, scopes from baselines where hour = $1 order by service_id limit $2', [iso(hour), SERVICES_PER_PIECE])
    const watched = await readWatchedBy(tx, hour, hour + HOUR_MS)
    const flat = rows.map(({ service_id: serviceId, scopes }) => ({ serviceId, scopes: flattenAll([{ hour, scopes }], watched(serviceId)) }))
    await insertFlat(tx, 'baselines_1h', 'hour', hour, flat)
    await tx.query('delete from baselines where hour = $1 and service_id = any($2::integer[])', [iso(hour), rows.map(row => row.service_id)])
    return true
  })
}

/** Flattens what is kept by the hour of the oldest day before `before` (ms), of some services at once. @returns whether there were any. */
export async function compactFlatBaselines (database: Database, before: number): Promise<boolean> {
  return moveOldest(database, LOCKS.compaction, 'select min(hour) as oldest from baselines_1h', DAY_MS, before, async (tx, day, end) => {
    const span = [iso(day), iso(end)]
    // A day is flattened once, and so only when it is whole.
    if ((await tx.query('select 1 from baselines where hour < $1 limit 1', [iso(end)])).length > 0) return false
    const services = (await tx.query<{ service_id: number }>('select distinct service_id from baselines_1h where hour >= $1 and hour < $2 order by 1 limit $3',
      [...span, SERVICES_PER_PIECE])).map(row => row.service_id)
    const rows = await tx.query<{ service_id: number, hour: Date, scopes: Record<string, FlatExpectation> }>(
      'select service_id, hour, scopes from baselines_1h where hour >= $1 and hour < $2 and service_id = any($3::integer[])', [...span, services])
    const watched = await readWatchedBy(tx, day, end)
    await insertFlat(tx, 'baselines_1d', 'day', day, services.map(serviceId => ({
      serviceId,
      scopes: flattenAll(rows.filter(row => row.service_id === serviceId).map(({ hour, scopes }) => ({
        hour: hour.getTime(),
        scopes: Object.fromEntries(Object.entries(scopes).map(([key, expectation]) => [key, expandExpectation(expectation)]))
      })), watched(serviceId))
    })))
    await tx.query('delete from baselines_1h where hour >= $1 and hour < $2 and service_id = any($3::integer[])', [...span, services])
    return true
  })
}

function flattenAll (
  hours: readonly { hour: number, scopes: Record<string, ScopeExpectation> }[], watched: readonly Stretch[]
): Record<string, FlatExpectation> | null {
  if (watched.length === 0) return null
  const byScope = new Map<string, Map<number, ScopeExpectation>>()
  for (const { hour, scopes } of hours) {
    for (const [key, expectation] of Object.entries(scopes)) {
      const known = byScope.get(key)
      if (known === undefined) byScope.set(key, new Map([[hour, expectation]]))
      else known.set(hour, expectation)
    }
  }
  return Object.fromEntries([...byScope].flatMap(([key, expectations]) => {
    const flat = flattenExpectation(expectations, watched)
    return flat === null ? [] : [[key, flat]]
  }))
}

async function insertFlat (
  tx: Db, table: string, start: string, at: number, rows: readonly { serviceId: number, scopes: Record<string, FlatExpectation> | null }[]
): Promise<void> {
  const kept = rows.filter(({ scopes }) => scopes !== null)
  if (kept.length === 0) return
  let next = 1
  await tx.query(`insert into ${table} (service_id, ${start}, scopes) values ${kept.map(() => `($${next++}, $${next++}, $${next++})`).join(',')}
    on conflict (service_id, ${start}) do update set scopes = excluded.scopes`,
  kept.flatMap(({ serviceId, scopes }) => [serviceId, iso(at), JSON.stringify(scopes)]))
}

/** The minutes of `[from, to)` in which somebody watched a service, by its id; merged. */
async function readWatchedBy (tx: Db, from: number, to: number): Promise<(serviceId: number) => Stretch[]> {
  const live = await readWatched(tx, from, to)
  const rows = await tx.query<{ id: number, history_from: Date, history_to: Date }>(
    'select id, history_from, history_to from services where history_from < $2 and history_to >= $1', [iso(from), iso(to)])
  const past = new Map(rows.map(row =>
    [row.id, { from: Math.max(from, row.history_from.getTime()), to: Math.min(to, row.history_to.getTime() + MINUTE_MS) }]))
  return serviceId => past.has(serviceId) ? mergeStretches([past.get(serviceId)!, ...live]) : live
}

/** Forgets the alarms withheld before `before` (ms): nobody judges these minutes again. A day at once. @returns whether any were. */
export async function pruneWithheld (db: Db, before: number): Promise<boolean> {
  const [row] = await db.query<{ oldest: Date | null }>('select min(minute) as oldest from withheld')
  if (row!.oldest === null || row!.oldest.getTime() >= before) return false
  const to = Math.min(before, floorTo(row!.oldest.getTime(), DAY_MS) + DAY_MS)
  await db.query('delete from withheld where minute < $1', [iso(to)])
  return true
}

/** The piece of `pieceMs` that holds the oldest of a table, if it ends by `before`, to `move` in one transaction under `lock`. */
async function moveOldest (
  database: Database, lock: number, oldest: string, pieceMs: number, before: number, move: (tx: Db, from: number, to: number) => Promise<boolean>
): Promise<boolean> {
  const find = async (db: Db) => {
    const [row] = await db.query<{ oldest: Date | null }>(oldest)
    const from = row!.oldest === null ? Infinity : floorTo(row!.oldest.getTime(), pieceMs)
    return from + pieceMs <= before ? from : undefined
  }
  // Asked before the lock is: most times there is nothing to move, and nobody needs to wait for that.
  if (await find(database) === undefined) return false
  return retryConflicts(() => transactUnderLock(database, lock, async tx => {
    const from = await find(tx)
    return from === undefined ? false : move(tx, from, from + pieceMs)
  }))
}
