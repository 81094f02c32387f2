// Our outages and the vendors' words on them as one record. What each line is called, and the median, are core's.
// Two statements instead of a union: each sorts and limits where its rows are (CITUS.md), and code merges the two.
import type { LeadTimeRecord, LeadTimeTally } from '../core/lead-times.ts'
import type { Db } from './client.ts'
import type { Place } from './pages.ts'

/** Which part of the record is meant, by detection, or publication where there is no outage of ours; ms, half open. */
export interface RecordFilter { serviceId?: number | undefined, from?: number | undefined, to?: number | undefined }

/** What one incident of a vendor is told apart by, within a service, among the rows of `acknowledgements a`; one recorded by hand by itself. */
const INCIDENT = "coalesce(a.source_id::text || ' ' || a.incident, a.id::text)"

/** What is meant as SQL: `$1` and `$2` bound the instant; `of` names the service of a table, where one is meant. */
interface Meant { values: unknown[], put: (value: unknown) => string, of: (table: string) => string }

/** The first word of the vendor on each outage, also on those that were merged into it. */
const wordsOf = ({ of }: Meant) => `select distinct on (a.service_id, coalesce(about.merged_into, a.outage_id)) a.service_id, coalesce(about.merged_into, a.outage_id) as outage_id,
    a.published_at, a.source, a.url
  from acknowledgements a join outages about on about.service_id = a.service_id and about.id = a.outage_id
  where ${of('a')}
  order by a.service_id, coalesce(about.merged_into, a.outage_id), a.published_at, a.created_at, a.id`

/** Live outages that are told, with the first word on them. */
const toldOf = (meant: Meant) => `from outages o left join (${wordsOf(meant)}) word on word.service_id = o.service_id and word.outage_id = o.id
  where ${meant.of('o')} and o.detected_at >= $1 and o.detected_at < $2
    and not o.retrospective and o.merged_into is null and (o.confirmed_at is not null or o.state = 'dismissed')`

/** Incidents that a vendor told while we watched the service, and behind which stands no outage, or none but dismissed ones. */
const missedOf = ({ of }: Meant) => `select a.service_id, (array_agg(a.id order by a.published_at, a.id))[1] as id, min(a.published_at) as published_at,
    (array_agg(a.source order by a.published_at, a.id))[1] as source, (array_agg(a.url order by a.published_at, a.id))[1] as url
  from acknowledgements a join services s on s.id = a.service_id
    left join outages o on o.service_id = a.service_id and o.id = a.outage_id
  where ${of('a')} and a.published_at >= s.live_since
  group by a.service_id, ${INCIDENT}
  having bool_and(o.id is null or (o.state = 'dismissed' and o.merged_into is null)) and min(a.published_at) >= $1 and min(a.published_at) < $2`

function meantBy ({ serviceId, from = 0, to }: RecordFilter): Meant {
  const values: unknown[] = [new Date(from).toISOString(), to === undefined ? 'infinity' : new Date(to).toISOString()]
  const put = (value: unknown) => `$${values.push(value)}`
  const one = serviceId === undefined ? undefined : put(serviceId)
  return { values, put, of: table => one === undefined ? 'true' : `${table}.service_id = ${one}` }
}

/** Live outages that are told, newest first by detection and id; `before` is the last record of the page before. */
export async function readToldRecords (db: Db, filter: RecordFilter, limit: number, before?: Place): Promise<LeadTimeRecord[]> {
  const meant = meantBy(filter)
  const { values, put } = meant
  const rows = await db.query<{
    service_id: number, id: string, detected_at: Date, dismissed: boolean, published_at: Date | null, source: string, url: string | null
  }>(`select o.service_id, o.id, o.detected_at, o.state = 'dismissed' as dismissed, word.published_at, word.source, word.url
    ${toldOf(meant)} ${before === undefined ? '' : `and (o.detected_at, o.id) < (${put(before.at.toISOString())}, ${put(before.id)})`}
    order by o.detected_at desc, o.id desc limit ${put(limit)}`, values)
  return rows.map(row => ({
    serviceId: row.service_id,
    id: row.id,
    at: row.detected_at,
    outage: { detectedAt: row.detected_at, dismissed: row.dismissed },
    acknowledgement: row.published_at === null ? null : { publishedAt: row.published_at, source: row.source, url: row.url }
  }))
}

/** What vendors told and we missed, newest first by publication and id; `before` as above. */
export async function readMissedRecords (db: Db, filter: RecordFilter, limit: number, before?: Place): Promise<LeadTimeRecord[]> {
  const meant = meantBy(filter)
  const { values, put } = meant
  const rows = await db.query<{ service_id: number, id: string, published_at: Date, source: string, url: string | null }>(
    `select * from (${missedOf(meant)}) missed ${before === undefined ? '' : `where (published_at, id) < (${put(before.at.toISOString())}, ${put(before.id)})`}
    order by published_at desc, id desc limit ${put(limit)}`, values)
  return rows.map(({ service_id: serviceId, id, published_at: publishedAt, source, url }) =>
    ({ serviceId, id, at: publishedAt, outage: null, acknowledgement: { publishedAt, source, url } }))
}

/** The whole record in counts: told outages by outcome and lead, a row for each lead there is, and how many were missed. */
export async function tallyRecords (db: Db, filter: RecordFilter): Promise<{ tallies: LeadTimeTally[], missed: number }> {
  const meant = meantBy(filter)
  const { values } = meant
  const [tallies, [missed]] = await Promise.all([
    db.query<{ dismissed: boolean, lead_ms: number | null, count: number }>(`select o.state = 'dismissed' as dismissed,
        (extract(epoch from word.published_at - o.detected_at) * 1000)::double precision as lead_ms, count(*)::integer as count
      ${toldOf(meant)} group by 1, 2`, values),
    db.query<{ count: number }>(`select count(*)::integer as count from (${missedOf(meant)}) missed`, values)
  ])
  return { tallies: tallies.map(({ dismissed, lead_ms: leadMs, count }) => ({ dismissed, leadMs, count })), missed: missed!.count }
}
