// What the detector's job keeps: checkpoints, how far it has judged, what it withheld and what it is asked to redo.
import type { DetectorState } from '../core/detector.ts'
import { DAY_MS, HOUR_MS } from '../core/time.ts'
import type { Db } from './client.ts'

/** Where judging stands: everything before `judgedUntil` (ms) is judged, and so often some of that has been judged again. */
export interface JudgedMark { judgedUntil: number, generation: number }

/** Where judging stands; undefined before the first start. */
export async function findJudgedMark (db: Db): Promise<JudgedMark | undefined> {
  const [row] = await db.query<MarkRow>(READ_MARK)
  return row === undefined ? undefined : markOf(row)
}

interface MarkRow { judged_until: Date, generation: number }
const READ_MARK = 'select judged_until, generation from judging'
const markOf = ({ judged_until: judgedUntil, generation }: MarkRow): JudgedMark => ({ judgedUntil: judgedUntil.getTime(), generation })

/** Up to where (ms, exclusive) everything is judged; undefined before the first start. */
export async function findJudgedUntil (db: Db): Promise<number | undefined> {
  return (await findJudgedMark(db))?.judgedUntil
}

/** The first start: judging begins at `at` (ms). Later starts change nothing. */
export async function beginJudging (db: Db, at: number): Promise<void> {
  await db.query('insert into judging (judged_until) values ($1) on conflict do nothing', [new Date(at).toISOString()])
}

/** Moves the mark from where the caller saw it; false when another has judged since, or judged again, and nothing was changed. */
export async function moveJudgedUntil (db: Db, { judgedUntil, generation }: JudgedMark, to: number): Promise<boolean> {
  const rows = await db.query('update judging set judged_until = $3 where judged_until = $1 and generation = $2 returning one',
    [new Date(judgedUntil).toISOString(), generation, new Date(to).toISOString()])
  return rows.length === 1
}

/** Where judging stands; until the transaction ends nobody moves that, nor dates a moderator's word by it. */
export async function lockJudging (tx: Db): Promise<JudgedMark> {
  const [row] = await tx.query<MarkRow>(`${READ_MARK} for update`)
  return markOf(row!)
}

/** The same for whoever judges, whose memory is of `mark`. @throws Error when another has judged since, or judged again */
export async function holdJudging (tx: Db, { judgedUntil, generation }: JudgedMark): Promise<void> {
  const held = await lockJudging(tx)
  if (held.judgedUntil !== judgedUntil || held.generation !== generation) throw new Error('Another instance has judged meanwhile.')
}

/** Says, under the lock, that some of what was judged is judged again: whoever does not know of it judges no further. */
export async function raiseGeneration (tx: Db): Promise<void> {
  await tx.query('update judging set generation = generation + 1')
}

/** A service's detector as it stood when everything before `judgedUntil` (ms) was judged. */
export interface Checkpoint { serviceId: number, judgedUntil: number, state: DetectorState }

/** The newest checkpoint of every service. */
export async function readCheckpoints (db: Db): Promise<Checkpoint[]> {
  const rows = await db.query<{ service_id: number, judged_until: Date, state: DetectorState }>(
    'select distinct on (service_id) service_id, judged_until, state from detector_states order by service_id, judged_until desc')
  return rows.map(row => ({ serviceId: row.service_id, judgedUntil: row.judged_until.getTime(), state: row.state }))
}

/** A service's checkpoints from the newest at or before `from` (ms) on, ascending; from the oldest on when there is none. */
export async function readCheckpointsFrom (db: Db, serviceId: number, from: number): Promise<Checkpoint[]> {
  const rows = await db.query<{ judged_until: Date, state: DetectorState }>(`select judged_until, state from detector_states
      where service_id = $1 and judged_until >= coalesce(
        (select max(judged_until) from detector_states where service_id = $1 and judged_until <= $2), '-infinity')
      order by judged_until`, [serviceId, new Date(from).toISOString()])
  return rows.map(row => ({ serviceId, judgedUntil: row.judged_until.getTime(), state: row.state }))
}

/** The moments (ms) in `[from, to)` at which a service was checkpointed. */
export async function readCheckpointMoments (db: Db, serviceId: number, from: number, to: number): Promise<Set<number>> {
  const rows = await db.query<{ judged_until: Date }>('select judged_until from detector_states where service_id = $1 and judged_until >= $2 and judged_until < $3',
    [serviceId, new Date(from).toISOString(), new Date(to).toISOString()])
  return new Set(rows.map(row => row.judged_until.getTime()))
}

const CHECKPOINTS_PER_STATEMENT = 50

/** Writes checkpoints, replacing those of the same moment. */
export async function upsertCheckpoints (db: Db, checkpoints: readonly Checkpoint[]): Promise<void> {
  for (let from = 0; from < checkpoints.length; from += CHECKPOINTS_PER_STATEMENT) {
    const chunk = checkpoints.slice(from, from + CHECKPOINTS_PER_STATEMENT)
    let next = 1
    await db.query(`insert into detector_states (service_id, judged_until, state) values
        ${chunk.map(() => `($${next++}, $${next++}, $${next++})`).join(',')}
      on conflict (service_id, judged_until) do update set state = excluded.state`,
    chunk.flatMap(({ serviceId, judgedUntil, state }) => [serviceId, new Date(judgedUntil).toISOString(), JSON.stringify(state)]))
  }
}

/**
 * Of some services, keeps the checkpoints of the last 3 hours before `judgedUntil` (ms), and those of each day's first
 * hour (UTC) for 2 days. Whoever writes a service's next one calls it: an hour's of all services at once are a second's work.
 */
export async function pruneCheckpoints (db: Db, serviceIds: readonly number[], judgedUntil: number): Promise<void> {
  if (serviceIds.length === 0) return
  await db.query(`delete from detector_states where service_id = any($3) and judged_until < $1
      and (judged_until < $2 or date_bin('1 hour', judged_until, '1970-01-01T00:00:00Z') <> date_bin('1 day', judged_until, '1970-01-01T00:00:00Z'))`,
  [new Date(judgedUntil - 3 * HOUR_MS).toISOString(), new Date(judgedUntil - 2 * DAY_MS).toISOString(), serviceIds])
}

/** Forgets a service's checkpoints: what it learnt was replaced. */
export async function deleteCheckpoints (db: Db, serviceId: number): Promise<void> {
  await db.query('delete from detector_states where service_id = $1', [serviceId])
}

/** An alarm of a scope that too few networks stood behind, in one minute (ms). */
export interface Withheld { serviceId: number, minute: number, scope: string, networks: number }

export async function insertWithheld (db: Db, rows: readonly Withheld[]): Promise<void> {
  let next = 1
  await db.query(`insert into withheld (service_id, minute, scope, networks) values
    ${rows.map(() => `($${next++}, $${next++}, $${next++}, $${next++})`).join(',')} on conflict do nothing`,
  rows.flatMap(({ serviceId, minute, scope, networks }) => [serviceId, new Date(minute).toISOString(), scope, networks]))
}

/** Forgets what was withheld of a service from `from` (ms) on: it is judged again. */
export async function deleteWithheld (db: Db, serviceId: number, from: number): Promise<void> {
  await db.query('delete from withheld where service_id = $1 and minute >= $2', [serviceId, new Date(from).toISOString()])
}

/** What was withheld in the minutes of `[from, to)` (ms), of one service or of all, ascending by minute. */
export async function readWithheld (db: Db, from: number, to: number, serviceId?: number): Promise<Withheld[]> {
  const rows = await db.query<{ service_id: number, minute: Date, scope: string, networks: number }>(
    `select service_id, minute, scope, networks from withheld where minute >= $1 and minute < $2
      ${serviceId === undefined ? '' : 'and service_id = $3'} order by minute, service_id, scope collate "C"`,
    [new Date(from).toISOString(), new Date(to).toISOString(), ...(serviceId === undefined ? [] : [serviceId])])
  return rows.map(row => ({ serviceId: row.service_id, minute: row.minute.getTime(), scope: row.scope, networks: row.networks }))
}

/** A service to judge again, and when that was asked for last. */
export interface Rejudge {
  serviceId: number
  requestedAt: Date
  /** From the checkpoint before this minute (ms) on, after a moderator's work on reports; null: its whole history. */
  fromMinute: number | null
}

/** Asks for a service to be judged again: `fromMinute` as in `Rejudge`. A request that stands already is made anew. */
export async function requestRejudge (db: Db, serviceId: number, at: Date, fromMinute: number | null = null): Promise<void> {
  await db.query(`insert into rejudge (service_id, requested_at, from_minute) values ($1, $2, $3)
    on conflict (service_id, (from_minute is null)) do update
      set requested_at = excluded.requested_at, from_minute = least(rejudge.from_minute, excluded.from_minute)`,
  [serviceId, at.toISOString(), fromMinute === null ? null : new Date(fromMinute).toISOString()])
}

/** The request to judge a whole history again that has waited longest, if none of its judged minutes is stale any more. */
export async function findRejudge (db: Db, requestedBefore: Date): Promise<Rejudge | undefined> {
  const rows = await db.query<{ service_id: number, requested_at: Date }>(
    'select service_id, requested_at from rejudge where from_minute is null and requested_at <= $1 order by requested_at, service_id',
    [requestedBefore.toISOString()])
  const judgedUntil = rows.length === 0 ? undefined : await findJudgedUntil(db)
  // Asked after the requests were read: an import asks before it commits its reports, and with these come the marks.
  const stale = judgedUntil === undefined
    ? []
    : await db.query<{ service_id: number }>('select distinct service_id from stale_minutes where minute < $1', [new Date(judgedUntil).toISOString()])
  const row = rows.find(({ service_id: id }) => !stale.some(({ service_id: staleId }) => staleId === id))
  return row === undefined ? undefined : { serviceId: row.service_id, requestedAt: row.requested_at, fromMinute: null }
}

/** Whether a whole history was asked to be judged again after `since`: imports ask again and again while they last. */
export async function isHistoryComing (db: Db, since: Date): Promise<boolean> {
  return (await db.query('select 1 from rejudge where from_minute is null and requested_at > $1 limit 1', [since.toISOString()])).length > 0
}

/** The requests that moderators' work has left, oldest first. */
export async function readReruns (db: Db): Promise<(Rejudge & { fromMinute: number })[]> {
  const rows = await db.query<{ service_id: number, requested_at: Date, from_minute: Date }>(
    'select service_id, requested_at, from_minute from rejudge where from_minute is not null order by requested_at, service_id')
  return rows.map(row => ({ serviceId: row.service_id, requestedAt: row.requested_at, fromMinute: row.from_minute.getTime() }))
}

/** Takes a request away, unless it was made again since; false then. */
export async function deleteRejudge (db: Db, { serviceId, requestedAt, fromMinute }: Rejudge): Promise<boolean> {
  const rows = await db.query('delete from rejudge where service_id = $1 and requested_at = $2 and (from_minute is null) = $3 returning service_id',
    [serviceId, requestedAt.toISOString(), fromMinute === null])
  return rows.length === 1
}
