// Reports: the ingest statement, voices after a start, and the networks behind an alarm.
import { v7 as uuid7 } from 'uuid'
import { INTERVAL_MS, isLate, type NewReport } from '../core/reports.ts'
import { dayOf, DAY_MS, floorTo, MINUTE_MS } from '../core/time.ts'
import { ALL, countryOf, DISPOSITIONS, VERDICTS, type Scope } from '../core/vocabulary.ts'
import type { Db } from './client.ts'

const COUNTED = DISPOSITIONS.indexOf('counted')
const DEGRADED = VERDICTS.indexOf('degraded')
const COLUMNS = 13

/**
 * Commits reports as one statement, which also marks their minutes stale: multi-row `values`, so that it distributes
 * by service, sorted by (service, id), so that two instances do not deadlock.
 * @param reports no more than 4,000: a statement holds 65,535 values; the same id may stand twice.
 * @param speed the domain clock's, for what counts as late at `now`.
 * @returns the ids that are new; the others were there before.
 */
export async function insertReports (db: Db, reports: readonly NewReport[], speed: number, now: Date): Promise<Set<string>> {
  const sorted = [...reports].sort((a, b) => a.serviceId - b.serviceId || (a.id < b.id ? -1 : 1))
  const isoMinute = rememberIso()
  const values: unknown[] = []
  const marks = new Map<string, [number, string]>()
  let before: NewReport | undefined
  for (const report of sorted) {
    const minute = isoMinute(report.minute)
    if (report.serviceId !== before?.serviceId || report.minute !== before.minute) {
      marks.set(`${report.serviceId} ${minute}`, [report.serviceId, minute])
    }
    before = report
    values.push(report.serviceId, isoMinute(report.intervalAt), report.id, minute, report.region, report.deviceClass,
      report.verdict, report.symptom, report.impact, report.network === null ? null : `\\x${report.network}`, report.disposition, isLate(report, speed, now), report.reason)
  }
  // Padded to a power of two with marks that are already there, so that few statements need preparing.
  const padded = [...marks.values()]
  const markCount = 2 ** Math.ceil(Math.log2(padded.length))
  while (padded.length < markCount) padded.push(padded[0]!)
  for (const mark of padded) values.push(...mark)

  const spoken = sorted.filter(({ comment }) => comment !== null)
  for (const report of spoken) {
    // An id that told the moment would outlive the tie to the report.
    const id = uuid7({ msecs: floorTo(now.getTime(), DAY_MS) })
    values.push(report.serviceId, isoMinute(report.intervalAt), report.id, id, report.comment, isoMinute(floorTo(now.getTime(), MINUTE_MS)))
  }
  const text = insertStatement(sorted.length, markCount, spoken.length)
  // Odd shapes are sent unprepared: each prepared one stays on its connection.
  const name = spoken.length === 0 && markCount <= 4 ? `reports_${sorted.length}_${markCount}` : undefined
  const rows = await db.query<{ id: string }>(text, values, name)
  return new Set(rows.map(({ id }) => id))
}

const statements = new Map<string, string>()

function insertStatement (reportCount: number, markCount: number, commentCount: number): string {
  const shape = `${reportCount} ${markCount} ${commentCount}`
  const known = statements.get(shape)
  if (known !== undefined) return known
  let next = 1
  const rows = (count: number, width: number) => Array.from({ length: count }, () =>
    `(${Array.from({ length: width }, () => `$${next++}`).join(',')})`).join(',')
  const text = `with r as (insert into reports (service_id, interval_at, id, minute, region, device_class, verdict, symptom, impact,
    network, disposition, late, reason) values ${rows(reportCount, COLUMNS)} on conflict do nothing returning id),
    s as (insert into stale_minutes (service_id, minute) values ${rows(markCount, 2)})${commentCount === 0
      ? ''
      : `, c as (insert into comments (service_id, interval_at, report_id, id, text, created_at) values ${rows(commentCount, 6)}
    on conflict do nothing)`} select id from r`
  if (commentCount === 0 && statements.size < 500) statements.set(shape, text)
  return text
}

/** An ISO formatter that remembers: the reports of one statement name few minutes. */
function rememberIso (): (at: number) => string {
  const known = new Map<number, string>()
  return at => {
    let iso = known.get(at)
    if (iso === undefined) known.set(at, iso = new Date(at).toISOString())
    return iso
  }
}

/** The counted voices of an interval (ms), of one service or, without it, of all. */
export async function readVoices (db: Db, intervalAt: number, serviceId?: number): Promise<{ service_id: number, id: string, network: string }[]> {
  return db.query(`select service_id, id, encode(network, 'hex') as network from reports
    where interval_at = $1 and disposition = ${COUNTED} and network is not null ${serviceId === undefined ? '' : 'and service_id = $2'}`,
  [new Date(intervalAt).toISOString(), ...(serviceId === undefined ? [] : [serviceId])])
}

/** The `down` and `degraded` reports of a scope in `[since, until)`, ms. */
export interface Run { scope: Scope, since: number, until: number }

/**
 * Distinct networks of the `down` and `degraded` reports of each run of one service, as seen, in the runs' order: the
 * largest number on one UTC day, since a network cannot be followed from one day into the next. A report without one
 * counts as its own. One reading for all: in a large outage nearly every scope has a run.
 */
export async function countNetworks (db: Db, serviceId: number, runs: readonly Run[]): Promise<number[]> {
  if (runs.length === 0) return []
  const [since, until] = [Math.min(...runs.map(run => run.since)), Math.max(...runs.map(run => run.until))]
  const values: unknown[] = [serviceId, new Date(floorTo(since, INTERVAL_MS)).toISOString(), new Date(since).toISOString(), new Date(until).toISOString()]
  const counts = runs.map(({ scope: { region, deviceClass }, since, until }, index) => {
    const next = values.push(new Date(since).toISOString(), new Date(until).toISOString(), region, deviceClass, countryOf(region)) - 4
    const within = `minute >= $${next} and minute < $${next + 1} and ($${next + 3} = '${ALL}' or device_class = $${next + 3})
      and ($${next + 2} = '${ALL}' or region = $${next + 2} or ($${next + 2} = $${next + 4} and left(region, 2) = $${next + 2}))`
    return `(count(distinct network) filter (where ${within}) + count(*) filter (where network is null and ${within}))::integer as of${index}`
  })
  const rows = await db.query<Record<string, number>>(`select ${counts.join(', ')}
    from reports where service_id = $1 and interval_at >= $2 and interval_at < $4 and minute >= $3 and minute < $4
      and disposition = ${COUNTED} and verdict >= ${DEGRADED} and not late
    group by date_bin('1 day', interval_at, '1970-01-01T00:00:00Z')`, values)
  return runs.map((_, index) => Math.max(0, ...rows.map(row => row[`of${index}`]!)))
}

/** The first day (ISO date) whose raw reports are still kept. */
export function retentionStart (retentionDays: number, now: Date): string {
  return dayOf(now.getTime() - retentionDays * DAY_MS)
}

/** The oldest minute (ms) that an import may still name: a minute inside the first day kept. */
export function importAgeMaxMs (retentionDays: number): number {
  return retentionDays * DAY_MS - MINUTE_MS
}
