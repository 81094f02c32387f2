// The published record of us against the vendors: as JSON, CSV, or a picture.
import { z } from 'zod'
import { kindOf, LEAD_TIME_KINDS, leadTimeOf, mergeRecords, summarise, type LeadTimeRecord } from '../core/lead-times.ts'
import type { Db } from '../db/client.ts'
import { readMissedRecords, readToldRecords, tallyRecords, type RecordFilter } from '../db/lead-times.ts'
import type { Place } from '../db/pages.ts'
import type { Catalog, Service } from '../db/services.ts'
import { findNamed, namesOf } from './admin.ts'
import { negotiate } from './guards.ts'
import { DOTS_MAX, drawLeadTimes } from './lead-time-picture.ts'
import { at, At, atOrNull, BRIEFLY, csvOf, pageOf, PageQuery, pageRows, readPlace, sendText, Slug, type Routes } from './schemas.ts'

const LeadTimesQuery = z.strictObject({
  ...PageQuery,
  service: Slug.optional(),
  year: z.coerce.number('Expected a year, such as 2026').int().min(1970).max(9999).optional()
    .describe('UTC, of the detection; of what we missed, of the acknowledgement')
})

const LeadTime = z.object({
  kind: z.enum(LEAD_TIME_KINDS).describe(
    'Confirmed and acknowledged or not; missed: the vendor told of what we did not see, or had dismissed; false_alarm: dismissed'),
  service: Slug,
  outage: z.uuid().nullable(),
  detected_at: At.nullable(),
  acknowledged_at: At.nullable().describe('When the vendor first said so'),
  lead_time_s: z.int().nullable().describe('acknowledged_at − detected_at; negative: the vendor was first'),
  source: z.string().nullable(),
  url: z.string().nullable()
}).meta({ id: 'LeadTime' })

export const LeadTimes = pageOf(LeadTime).extend({
  summary: z.object({
    acknowledged: z.int(), unacknowledged: z.int(), missed: z.int(), false_alarms: z.int(), median_lead_time_s: z.int().nullable()
  }).describe('Of the whole selection, not of this page')
}).meta({ id: 'LeadTimes' })

const PRODUCES = ['application/json', 'text/csv', 'image/svg+xml'] as const

/**
 * `GET /v1/lead-times`: live outages and vendors' words, newest first. CSV gives the same page, its next one as a `Link`
 * (RFC 8288); the picture shows the whole selection, of its dots the newest DOTS_MAX.
 */
export const leadTimes: Routes<{ db: Db, catalog: () => Catalog }> = async (app, { db, catalog }) => {
  const findAsked = ({ service }: { service?: string | undefined }): Service | undefined =>
    findNamed(catalog().services, service, 'service', { pointer: '', in: 'query' })

  app.get('/lead-times', {
    config: { produces: PRODUCES, check: findAsked },
    schema: { summary: 'The record of us against the vendors', querystring: LeadTimesQuery, response: { 200: LeadTimes } }
  }, async (request, reply) => {
    const { query } = request
    const type = negotiate(request)
    const service = findAsked(query)
    const { year, limit } = query
    const filter = { serviceId: service?.id, ...(year === undefined ? {} : { from: Date.UTC(year, 0), to: Date.UTC(year + 1, 0) }) }
    const before = readPlace(query.cursor)
    reply.header('cache-control', BRIEFLY).header('vary', 'accept').type(`${type}; charset=utf-8`)
    if (type === 'image/svg+xml') return sendText(reply, await picture(filter, service, year))
    const slugs = namesOf(catalog())
    const rows = await readRecords(db, filter, limit + 1, before)
    const page = pageRows(rows, limit, ({ at, id }) => [at.toISOString(), id], record => describe(record, slugs.get(record.serviceId)!))
    if (type === 'text/csv') {
      if (page.next_cursor !== null) reply.header('link', `<${nextOf(request.url, page.next_cursor)}>; rel="next"`)
      return sendText(reply, csvOf(LeadTime, page.items))
    }
    return { ...page, summary: describeSummary(await summaryOf(filter)) }
  })

  const summaryOf = async (filter: RecordFilter) => {
    const { tallies, missed } = await tallyRecords(db, filter)
    return summarise(tallies, missed)
  }

  const picture = async (filter: RecordFilter, service: Service | undefined, year: number | undefined) => {
    const [summary, told] = await Promise.all([summaryOf(filter), readToldRecords(db, filter, DOTS_MAX)])
    const names = new Map([...catalog().services.values()].map(({ id, name }) => [id, name]))
    return drawLeadTimes({
      title: service?.name ?? 'Groundswell and the vendors',
      year: year ?? null,
      byYear: service !== undefined,
      summary,
      dots: told.flatMap(record => {
        const leadTimeS = leadTimeOf(record)
        return leadTimeS === null ? [] : [{ service: names.get(record.serviceId)!, at: record.at.getTime(), leadTimeS }]
      })
    })
  }
}

async function readRecords (db: Db, filter: RecordFilter, limit: number, before: Place | undefined): Promise<LeadTimeRecord[]> {
  const [told, missed] = await Promise.all([readToldRecords(db, filter, limit, before), readMissedRecords(db, filter, limit, before)])
  return mergeRecords(told, missed, limit)
}

function describe (record: LeadTimeRecord, service: string): z.infer<typeof LeadTime> {
  const kind = kindOf(record)
  const { id, outage } = record
  // What was dismissed is no admission of ours: the vendor's word on it is a line of its own.
  const word = kind === 'false_alarm' ? null : record.acknowledgement
  return {
    kind,
    service,
    outage: outage === null ? null : id,
    detected_at: atOrNull(outage?.detectedAt ?? null),
    acknowledged_at: word === null ? null : at(word.publishedAt),
    lead_time_s: leadTimeOf(record),
    source: word?.source ?? null,
    url: word?.url ?? null
  }
}

function describeSummary (summary: ReturnType<typeof summarise>): z.infer<typeof LeadTimes>['summary'] {
  const { acknowledged, unacknowledged, missed, falseAlarms, medianLeadTimeS } = summary
  return { acknowledged, unacknowledged, missed, false_alarms: falseAlarms, median_lead_time_s: medianLeadTimeS }
}

/** The path and query that a page was asked by, going on after a cursor. */
function nextOf (url: string, cursor: string): string {
  const next = new URL(url, 'http://localhost')
  next.searchParams.set('cursor', cursor)
  return next.pathname + next.search
}
