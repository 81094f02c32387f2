// Raw reports as moderators search them. What they do with them is moderation's.
import type { Tally } from '../core/curves.ts'
import { INTERVAL_MS } from '../core/reports.ts'
import { floorTo, MINUTE_MS } from '../core/time.ts'
import { ALL, DISPOSITIONS, QUARANTINE_REASONS, VERDICTS, type Disposition, type QuarantineReason, type Scope, type Verdict } from '../core/vocabulary.ts'
import type { Db } from './client.ts'
import type { Place } from './pages.ts'
import type { reports } from './tables.ts'

/** Which raw reports are meant; what is missing does not matter. A country includes its subdivisions. */
export interface ReportFilter {
  serviceId?: number | undefined
  /** Of minutes at or after, and before, ms. */
  from: number
  to: number
  region?: string | undefined
  deviceClass?: string | undefined
  verdict?: Verdict | undefined
  disposition?: Disposition | undefined
  /** 32 hex digits. */
  network?: string | undefined
}

/** A report as it is stored, the enums by their code; the network as 32 hex digits. */
export type RawReport = Omit<typeof reports.$inferSelect, 'network' | 'late'> & { network: string | null }

/** Columns of `RawReport`, of the table `r`. */
const COLUMNS = `r.service_id as "serviceId", r.interval_at as "intervalAt", r.id, r.minute, r.region, r.device_class as "deviceClass", r.verdict,
  r.symptom, r.impact, encode(r.network, 'hex') as network, r.disposition, r.reason`

/** The filter as SQL on `reports r`, in parameters from `$1` on: `interval_at` is bounded, so that few partitions are read. */
export function conditionsOf (filter: ReportFilter): { text: string, values: unknown[] } {
  const values: unknown[] = []
  const put = (value: unknown) => `$${values.push(value)}`
  const conditions = [
    `r.interval_at >= ${put(new Date(floorTo(filter.from, INTERVAL_MS)).toISOString())}`,
    `r.minute >= ${put(new Date(filter.from).toISOString())}`
  ]
  const to = put(new Date(filter.to).toISOString())
  conditions.push(`r.interval_at < ${to}`, `r.minute < ${to}`)
  if (filter.serviceId !== undefined) conditions.push(`r.service_id = ${put(filter.serviceId)}`)
  if (filter.region !== undefined) {
    const region = put(filter.region)
    conditions.push(filter.region.length === 2 ? `left(r.region, 2) = ${region}` : `r.region = ${region}`)
  }
  if (filter.deviceClass !== undefined) conditions.push(`r.device_class = ${put(filter.deviceClass)}`)
  if (filter.verdict !== undefined) conditions.push(`r.verdict = ${put(VERDICTS.indexOf(filter.verdict))}`)
  if (filter.disposition !== undefined) conditions.push(`r.disposition = ${put(DISPOSITIONS.indexOf(filter.disposition))}`)
  if (filter.network !== undefined) conditions.push(`r.network = decode(${put(filter.network)}, 'hex')`)
  return { text: conditions.join(' and '), values }
}

/** What is searched first of all services, from the newest minute back, ms; each further slice is as long as all before. */
const FIRST_SLICE_MS = MINUTE_MS

/** Raw reports, newest first by minute and id; `before` is the last of the page before. */
export async function readRawReports (
  db: Db, filter: ReportFilter, limit: number, before?: Place
): Promise<RawReport[]> {
  if (filter.serviceId !== undefined) return readSlice(db, filter, limit, before)
  // Of all services no index has the order, but the newest minutes lie together: mostly the first slice fills the page.
  const newest = Math.min(filter.to, before === undefined ? Infinity : before.at.getTime() + MINUTE_MS)
  const found: RawReport[] = []
  for (let to = newest, widthMs = FIRST_SLICE_MS; to > filter.from && found.length < limit; widthMs *= 2) {
    const from = Math.max(filter.from, to - widthMs)
    found.push(...await readSlice(db, { ...filter, from, to }, limit - found.length, before))
    to = from
  }
  return found
}

function readSlice (db: Db, filter: ReportFilter, limit: number, before: Place | undefined): Promise<RawReport[]> {
  const { text, values } = conditionsOf(filter)
  const put = (value: unknown) => `$${values.push(value)}`
  const after = before === undefined
    ? ''
    : `and r.interval_at <= ${put(before.at.toISOString())} and (r.minute, r.id) < (${put(before.at.toISOString())}, ${put(before.id)})`
  return db.query<RawReport>(`select ${COLUMNS} from reports r where ${text} ${after}
    order by r.interval_at desc, r.minute desc, r.id desc limit ${put(limit)}`, values)
}

/** What was held back of one service and network for one reason. */
export interface Quarantined { serviceId: number, network: string | null, reason: QuarantineReason, count: number, firstAt: Date, lastAt: Date }

/** Quarantined reports by service, network and reason, those with the newest first; `before` is the last of the page before. */
export async function readQuarantine (
  db: Db, filter: Pick<ReportFilter, 'serviceId' | 'from' | 'to'> & { reason?: QuarantineReason | undefined }, limit: number,
  before?: { lastAt: Date, serviceId: number, network: string, reason: number }
): Promise<Quarantined[]> {
  const { text, values } = conditionsOf({ ...filter, disposition: 'quarantined' })
  const put = (value: unknown) => `$${values.push(value)}`
  const reason = filter.reason === undefined ? '' : `and coalesce(r.reason, 0) = ${put(QUARANTINE_REASONS.indexOf(filter.reason))}`
  const after = before === undefined
    ? ''
    : `where (last_at, service_id, coalesce(network, ''), reason) < (${put(before.lastAt.toISOString())}, ${put(before.serviceId)}, ${put(before.network)}, ${put(before.reason)})`
  const rows = await db.query<{ service_id: number, network: string | null, reason: number, count: number, first_at: Date, last_at: Date }>(`
    select * from (
      select r.service_id, encode(r.network, 'hex') as network, coalesce(r.reason, 0)::integer as reason, count(*)::integer as count,
        min(r.minute) as first_at, max(r.minute) as last_at
      from reports r where ${text} ${reason} group by 1, 2, 3) held
    ${after} order by last_at desc, service_id desc, coalesce(network, '') desc, reason desc limit ${put(limit)}`, values)
  return rows.map(row => ({
    serviceId: row.service_id, network: row.network, reason: QUARANTINE_REASONS[row.reason]!, count: row.count, firstAt: row.first_at, lastAt: row.last_at
  }))
}

/** Counted reports of one scope in `[from, to)` (ms, full intervals) by symptom; null: those that name none. */
export async function readSymptoms (db: Db, serviceId: number, { region, deviceClass }: Scope, from: number, to: number): Promise<(Tally & { key: string | null })[]> {
  const { text, values } = conditionsOf({
    serviceId, from, to, disposition: 'counted', region: region === ALL ? undefined : region, deviceClass: deviceClass === ALL ? undefined : deviceClass
  })
  return db.query(`select r.symptom as key, ${VERDICTS.map((verdict, code) => `count(*) filter (where r.verdict = ${code})::integer as ${verdict}`).join(', ')}
    from reports r where ${text} group by 1`, values)
}
