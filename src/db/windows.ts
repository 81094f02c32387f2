// Windows: counted from reports, never added to. A minute without a row had no reports.
import type { Stretch, Tally } from '../core/curves.ts'
import type { SeenCell } from '../core/detector.ts'
import { INTERVAL_MS } from '../core/reports.ts'
import { DAY_MS, floorTo, HOUR_MS, MINUTE_MS } from '../core/time.ts'
import { ALL, countryOf, DISPOSITIONS, VERDICTS, type Scope } from '../core/vocabulary.ts'
import { LOCKS, retryConflicts, transactUnderLock, type Database, type Db } from './client.ts'

const COUNTED = DISPOSITIONS.indexOf('counted')
const [WORKING, DEGRADED, DOWN] = VERDICTS.map((_, code) => code)
/**
 * Recounts the newest stale minutes, those that began within `spanMs` of the last but not before `since`, from the reports
 * and takes their marks away, in one transaction. A span of hours takes the first hour whole: its copy is made anew once.
 * @returns from where on (ms) every minute is now up to date: -Infinity for all.
 */
export async function recountStale (database: Database, spanMs: number, since = -Infinity): Promise<number> {
  return retryConflicts(() => transactUnderLock(database, LOCKS.rollup, tx => recountNewest(tx, spanMs, since)))
}

/** Recounts the stale minutes from `since` (ms) on inside a transaction under the rollup's lock. */
export async function recountFrom (tx: Db, since: number): Promise<void> {
  while (await recountNewest(tx, DAY_MS, since) > since);
}

async function recountNewest (tx: Db, spanMs: number, since: number): Promise<number> {
  const [range] = await tx.query<{ oldest: Date | null, newest: Date | null }>('select min(minute) as oldest, max(minute) as newest from stale_minutes')
  if (range!.newest === null || range!.oldest === null) return -Infinity
  const [oldest, newest] = [range!.oldest.getTime(), range!.newest.getTime()]
  if (newest < since) return newest + MINUTE_MS
  const from = Math.max(oldest, since, spanMs < HOUR_MS ? newest - spanMs : floorTo(newest - spanMs, HOUR_MS))
  const span = [new Date(from).toISOString(), range!.newest.toISOString()]
  if (spanMs < HOUR_MS) await tx.query(ADVISE, ['off'])
  await tx.query(RECOUNT, [...span, new Date(floorTo(from, INTERVAL_MS)).toISOString()])
  if (spanMs < HOUR_MS) await tx.query(ADVISE, ['on'])
  await tx.query(`delete from windows using (select distinct service_id, minute from stale_minutes where minute between $1 and $2) s
    where windows.service_id = s.service_id and windows.minute = s.minute and windows.minute between $1 and $2
      and working = 0 and degraded = 0 and down = 0 and seen_working = 0 and seen_degraded = 0 and seen_down = 0`, span)
  const marks = await readMarks(tx)
  // The minutes that come in as they pass are not copied yet.
  if (from < marks.hours_until) await renewCopies(tx, marks, from, span)
  await tx.query('delete from stale_minutes where minute between $1 and $2', span)
  return from === oldest ? -Infinity : from
}

// No statistics know of the minute that runs. Thinking it a row or two, the planner would seek each row by the key, in no
// order, and sort them all, which takes twice as long (300,000 reports, 2026-11-26).
const ADVISE = 'select set_config(name, $1, true) from unnest(array[\'enable_indexscan\', \'enable_nestloop\', \'enable_sort\']) name'

function sumEach (and: string): string {
  return [WORKING, DEGRADED, DOWN].map(verdict => `sum(reports * (verdict = ${verdict}${and})::int)`).join(', ')
}

// The second half of the union zeroes cells that have lost all their reports. The reports' minutes are bounded once more
// where the join bounds them already, since only constants let the planner use the index on them.
const RECOUNT = `insert into windows (service_id, minute, region, device_class, working, degraded, down, seen_working, seen_degraded, seen_down)
  select service_id, minute, region, device_class, ${sumEach('')}, ${sumEach(' and not late')}
  from (
    select service_id, minute, region, device_class, verdict, late, count(*) as reports
    from reports
      join (select distinct service_id, minute, date_bin('15 min', minute, '1970-01-01T00:00:00Z') as interval_at
        from stale_minutes where minute between $1 and $2) s using (service_id, minute, interval_at)
    where disposition = ${COUNTED} and interval_at >= $3 and interval_at <= $2 and minute between $1 and $2
    group by 1, 2, 3, 4, 5, 6
    union all
    select service_id, minute, region, device_class, ${WORKING}::smallint, false, 0::bigint from windows
      join (select distinct service_id, minute from stale_minutes where minute between $1 and $2) s using (service_id, minute)
    where minute between $1 and $2
  ) x
  group by 1, 2, 3, 4
  on conflict (service_id, minute, region, device_class) do update set working = excluded.working, degraded = excluded.degraded,
    down = excluded.down, seen_working = excluded.seen_working, seen_degraded = excluded.seen_degraded, seen_down = excluded.seen_down`

const COUNTS = ['working', 'degraded', 'down', 'seen_working', 'seen_degraded', 'seen_down']

/** The statement that adds up the windows of a span, `from, to` in SQL, to wider ones, in place of such as are there; `only`: a join that picks some. */
export function widen (table: string, start: string, wider: string, widerStart: string, span: string, only = ''): string {
  const [from, to] = span.split(', ')
  return `insert into ${wider} (service_id, ${widerStart}, region, device_class, ${COUNTS.join(', ')})
    select service_id, date_bin('1 ${widerStart}', ${start}, '1970-01-01T00:00:00Z'), region, device_class, ${COUNTS.map(count => `sum(${count})`).join(', ')}
    from ${table} ${only} where ${start} >= ${from} and ${start} < ${to} group by 1, 2, 3, 4
    on conflict (service_id, ${widerStart}, region, device_class) do update set ${COUNTS.map(count => `${count} = excluded.${count}`).join(', ')}`
}

/** Takes away the copies that hold stale minutes of a span, the first of which is `from` (ms), and makes them anew. */
async function renewCopies (tx: Db, marks: Marks, from: number, span: readonly string[]): Promise<void> {
  for (const { table, start, wider, width, hours, until } of COPIES) {
    const values = [...span, new Date(floorTo(from, hours * HOUR_MS)).toISOString(), instantOf(marks[until]), instantOf(marks.minutes_from)]
    const touched = `(select distinct service_id as touched, date_bin('1 ${width}', minute, '1970-01-01T00:00:00Z') as since from stale_minutes
      where minute between $1 and $2 and minute < $4 and minute >= $5) s`
    await tx.query(`delete from ${wider} using ${touched} where service_id = touched and ${width} = since and ${width} between $3 and $2`, values)
    await tx.query(widen(table, start, wider, width, '$3::timestamptz, $2::timestamptz + interval \'24 hours\'',
      `join ${touched} on touched = service_id and ${start} >= since and ${start} < since + interval '${hours} hours'`), values)
  }
}

// Intervals are of hours: a day has 23 or 25 of them where the database's own clocks are put forward or back.
const COPIES = [
  { table: 'windows', start: 'minute', wider: 'windows_1h', width: 'hour', hours: 1, until: 'hours_until' as const },
  { table: 'windows_1h', start: 'hour', wider: 'windows_1d', width: 'day', hours: 24, until: 'days_until' as const }
]

/** How far copying and deleting have come, ms; -Infinity: not begun. */
export type Marks = Record<'minutes_from' | 'hours_until' | 'hours_from' | 'days_until', number>

/** Reads how far they have come; who reads windows in the same transaction goes by it. */
export async function readMarks (db: Db): Promise<Marks> {
  const [row] = await db.query<Record<keyof Marks, Date | number>>('select minutes_from, hours_until, hours_from, days_until from compacted')
  return { minutes_from: Number(row!.minutes_from), hours_until: Number(row!.hours_until), hours_from: Number(row!.hours_from), days_until: Number(row!.days_until) }
}

/** A mark as a parameter. */
export function instantOf (mark: number): string {
  return mark === -Infinity ? '-infinity' : new Date(mark).toISOString()
}

/** One cell of one service's minute, as the detector sees it. */
export interface SeenRow {
  service_id: number
  minute: Date
  region: string
  device_class: string
  working: number
  degraded: number
  down: number
}

/** What was seen in the minutes of `[from, to)` (ms), of one service or of all, ascending by service and minute. */
export async function readSeen (db: Db, from: number, to: number, serviceId?: number): Promise<SeenRow[]> {
  return db.query<SeenRow>(`select service_id, minute, region, device_class,
      seen_working as working, seen_degraded as degraded, seen_down as down
    from windows where minute >= $1 and minute < $2 ${serviceId === undefined ? '' : 'and service_id = $3'}
      and seen_working + seen_degraded + seen_down > 0
    order by service_id, minute, region collate "C", device_class collate "C"`,
  [new Date(from).toISOString(), new Date(to).toISOString(), ...(serviceId === undefined ? [] : [serviceId])])
}

/** What was seen of one service in one minute (ms): only cells with any report. */
export interface SeenMinute { serviceId: number, minute: number, cells: SeenCell[] }

/**
 * The same by service and minute. Their cells come as one text: a row for each of a busy minute's, and its parsing, cost
 * three times as much processor time as judging them (2026-11-25).
 */
export async function readSeenMinutes (db: Db, from: number, to: number, serviceId?: number): Promise<SeenMinute[]> {
  const rows = await db.query<{ service_id: number, minute: Date, cells: string }>(`select service_id, minute,
      string_agg(region || ' ' || device_class || ' ' || seen_working || ' ' || seen_degraded || ' ' || seen_down, ',') as cells
    from windows where minute >= $1 and minute < $2 ${serviceId === undefined ? '' : 'and service_id = $3'}
      and seen_working + seen_degraded + seen_down > 0
    group by service_id, minute`,
  [new Date(from).toISOString(), new Date(to).toISOString(), ...(serviceId === undefined ? [] : [serviceId])])
  return rows.map(row => ({ serviceId: row.service_id, minute: row.minute.getTime(), cells: row.cells.split(',').map(parseCell) }))
}

/** Neither a region nor a device class has a space or a comma. */
function parseCell (text: string): SeenCell {
  const [region, deviceClass, working, degraded, down] = text.split(' ') as [string, string, string, string, string]
  return { region, deviceClass, working: Number(working), degraded: Number(degraded), down: Number(down) }
}

const TALLY = 'sum(working)::integer as working, sum(degraded)::integer as degraded, sum(down)::integer as down'
const IN_SCOPE = `($1::text = '${ALL}' or region = $1 or ($1 = $3 and left(region, 2) = $1)) and ($2 = '${ALL}' or device_class = $2)`

/** Windows of one scope of service $4 that begin in `[$5, $6)`, in one table, between two marks of `compacted`. */
function storedIn (table: string, start: string, since: string | null, until: string | null, more = ''): string {
  const mark = (name: string) => `(select ${name} from compacted)`
  return `select ${start} as start, region, device_class, working, degraded, down from ${table} where ${IN_SCOPE} and service_id = $4
    and ${start} >= ${start === 'minute' ? '$5' : `date_bin('1 ${start}', $5::timestamptz, '1970-01-01T00:00:00Z')`} and ${start} < $6
    ${since === null ? '' : `and ${start} >= ${mark(since)}`} ${until === null ? '' : `and ${start} < ${mark(until)}`} ${more}`
}

/** Each count once, from the widest windows no wider than asked for that have it: the marks, of which each node has a copy, are read in the same statement. */
function storedAs (widthMs: number): string {
  if (widthMs < HOUR_MS) return storedIn('windows', 'minute', null, null)
  const minutes = storedIn('windows', 'minute', 'hours_until', null)
  if (widthMs < DAY_MS) return `${minutes} union all ${storedIn('windows_1h', 'hour', null, 'hours_until')}`
  return `${minutes} union all ${storedIn('windows_1h', 'hour', 'days_until', 'hours_until')} union all ${storedIn('windows_1d', 'day', null, 'days_until')}`
}

/** Each count once, from the finest windows that are kept; a wide one counts where it overlaps with the range. */
function storedFine (more: (start: string, width: string) => string = () => ''): string {
  return [storedIn('windows', 'minute', 'minutes_from', null, more('minute', '1 minute')),
    storedIn('windows_1h', 'hour', 'hours_from', 'minutes_from', more('hour', '1 hour')),
    storedIn('windows_1d', 'day', null, 'hours_from', more('day', '24 hours'))].join(' union all ')
}

function scopeValues ({ region, deviceClass }: Scope): string[] {
  return [region, deviceClass, region === ALL ? ALL : countryOf(region)]
}

/** Counts of one scope in windows of `widthMs` over `[from, to)` (ms), ascending and sparse: a missing one had none. */
export async function readTallies (
  db: Db, serviceId: number, scope: Scope, from: number, to: number, widthMs: number
): Promise<(Tally & { start: Date })[]> {
  return db.query(`select date_bin(make_interval(secs => $7), start, '1970-01-01T00:00:00Z') as start, ${TALLY}
    from (${storedAs(widthMs)}) w group by 1 having sum(working + degraded + down) > 0 order by 1`,
  [...scopeValues(scope), serviceId, new Date(from).toISOString(), new Date(to).toISOString(), widthMs / 1000])
}

/** How a breakdown divides: countries, a country's subdivisions with the country itself, or device classes. */
export type Division = 'country' | 'subdivision' | 'device_class'

const KEY = { country: 'left(region, 2)', subdivision: 'region', device_class: 'device_class' } as const

/**
 * Counts of one service by key over `[from, to)` (ms), within `scope`, ascending by key. Of what is kept by the hour or
 * by the day alone, hours and days that overlap with it count whole.
 */
export async function readDivided (
  db: Db, serviceId: number, by: Division, scope: Scope, from: number, to: number
): Promise<(Tally & { key: string })[]> {
  return db.query(`select ${KEY[by]} as key, ${TALLY}
    from (${storedFine()}) w group by 1 having sum(working + degraded + down) > 0 order by ${KEY[by]} collate "C"`,
  [...scopeValues(scope), serviceId, new Date(from).toISOString(), new Date(to).toISOString()])
}

/**
 * Down + degraded/2 of one service by key, each within stretches of its own that do not overlap; a missing key had none.
 * Hours and days that are kept alone count whole where they overlap with one.
 */
export async function readWithin (
  db: Db, serviceId: number, by: Division, scope: Scope, stretches: ReadonlyMap<string, readonly Stretch[]>
): Promise<Map<string, number>> {
  const all = [...stretches].flatMap(([key, parts]) => parts.map(part => ({ key, ...part })))
  if (all.length === 0) return new Map()
  const starts = all.map(({ from }) => new Date(from).toISOString())
  const ends = all.map(({ to }) => new Date(to).toISOString())
  const within = (start: string, width: string) => `and exists (
      select from unnest($7::text[], $8::timestamptz[], $9::timestamptz[]) part(key, since, until)
      where part.key = ${KEY[by]} and ${start} < until and ${start} + interval '${width}' > since)`
  const rows = await db.query<{ key: string, within: number }>(`select ${KEY[by]} as key, sum(down + degraded / 2.0)::double precision as within
    from (${storedFine(within)}) w group by 1`,
  [...scopeValues(scope), serviceId, starts.toSorted()[0], ends.toSorted().at(-1), all.map(({ key }) => key), starts, ends])
  return new Map(rows.map(({ key, within }) => [key, within]))
}

/** Counts of one service over some of its minutes (ms), together. */
export async function sumMinutes (db: Db, serviceId: number, minutes: readonly number[]): Promise<Tally> {
  const [row] = await db.query<Tally>(`select coalesce(sum(working), 0)::integer as working, coalesce(sum(degraded), 0)::integer as degraded,
    coalesce(sum(down), 0)::integer as down from windows where service_id = $1 and minute = any($2::timestamptz[])`,
  [serviceId, minutes.map(minute => new Date(minute).toISOString())])
  return row!
}

/** Counts of every service, or of some, by minute over `[from, to)` (ms); what had no reports is missing. */
export async function readServiceTallies (
  db: Db, from: number, to: number, serviceIds?: readonly number[]
): Promise<(Tally & { service_id: number, minute: Date })[]> {
  return db.query(`select service_id, minute, ${TALLY} from windows
    where minute >= $1 and minute < $2 ${serviceIds === undefined ? '' : 'and service_id = any($3)'} group by 1, 2`,
  [new Date(from).toISOString(), new Date(to).toISOString(), ...(serviceIds === undefined ? [] : [serviceIds])])
}

/**
 * The services that have an expectation of an hour since `judgedFrom` (ms) and a counted report since `from`: of each one
 * window is looked for, since a day of all of them is a thousand times what a summary reads otherwise.
 */
export async function readSpeakingServices (db: Db, from: number, judgedFrom: number): Promise<Set<number>> {
  const rows = await db.query<{ service_id: number }>(`select service_id from (select distinct service_id from baselines where hour >= $2) judged
    where exists (select from windows where windows.service_id = judged.service_id and minute >= $1 and working + degraded + down > 0)`,
  [new Date(from).toISOString(), new Date(judgedFrom).toISOString()])
  return new Set(rows.map(row => row.service_id))
}
