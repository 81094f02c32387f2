// Raw reports and what was held back of them, for moderators to search.
import { z } from 'zod'
import { DAY_MS, MINUTE_MS, type Clock } from '../core/time.ts'
import { DISPOSITIONS, IMPACTS, QUARANTINE_REASONS, VERDICTS } from '../core/vocabulary.ts'
import type { Db } from '../db/client.ts'
import { readQuarantine, readRawReports, type RawReport, type ReportFilter } from '../db/raw-reports.ts'
import type { Catalog } from '../db/services.ts'
import { findNamed, namesOf } from './admin.ts'
import { at, At, Instant, pageOf, PageQuery, pageRows, readCursor, readPlace, Region, Slug, type Routes } from './schemas.ts'

/** What is searched when the request does not say from when, ms. */
const SEARCHED_MS = DAY_MS

export const Network = z.string().regex(/^[0-9a-f]{32}$/, 'Expected a network key: 32 hex digits')

/** Members by which reports are searched and chosen. */
export const FilterMembers = {
  service: Slug.optional(),
  from: Instant.optional().describe('The minute of the report, at or after; by default 24 h before `to`'),
  to: Instant.optional().describe('Before'),
  region: Region.optional(),
  device_class: Slug.optional(),
  verdict: z.enum(VERDICTS).optional(),
  disposition: z.enum(DISPOSITIONS).exclude(['duplicate']).optional(),
  network: Network.optional()
}
type FilterInput = z.infer<z.ZodObject<typeof FilterMembers>>

/**
 * A filter as the tables take it.
 * @param pointer what stands before a member's name where it is wrong: `/filter` in a body.
 * @throws Fault `invalid`
 */
export function filterOf (input: FilterInput, catalog: Catalog, now: Date, where: { pointer: string, in?: 'query' }): ReportFilter {
  const to = input.to?.getTime() ?? now.getTime() + MINUTE_MS
  return {
    serviceId: findNamed(catalog.services, input.service, 'service', where)?.id,
    from: input.from?.getTime() ?? Math.max(0, to - SEARCHED_MS - MINUTE_MS),
    to,
    region: input.region,
    deviceClass: findNamed(catalog.deviceClasses, input.device_class, 'device class', where)?.slug,
    verdict: input.verdict,
    disposition: input.disposition,
    network: input.network
  }
}

export const AdminReport = z.object({
  id: z.uuid(),
  service: Slug,
  interval_at: At.describe('With service and id the reference of the report'),
  minute: At,
  region: z.string(),
  device_class: z.string(),
  verdict: z.enum(VERDICTS),
  symptom: z.string().nullable(),
  impact: z.enum(IMPACTS).nullable(),
  network: z.string().nullable().describe('Of one service and day; null: imported'),
  disposition: z.enum(DISPOSITIONS),
  reason: z.enum(QUARANTINE_REASONS).nullable().describe('Why it is quarantined')
}).meta({ id: 'AdminReport' })

export const Quarantined = z.object({
  service: Slug, network: z.string().nullable(), reason: z.enum(QUARANTINE_REASONS), count: z.int(), first_at: At, last_at: At
}).meta({ id: 'Quarantined' })

/** `GET /v1/admin/reports` and `/quarantine`. */
export const rawReports: Routes<{ db: Db, catalog: () => Catalog, clock: Clock }> = async (app, { db, catalog, clock }) => {
  const config = { scope: 'moderate', lasting: true } as const
  const QUERY = { pointer: '', in: 'query' } as const

  app.get('/reports', {
    config,
    schema: { summary: 'Search raw reports, newest first', querystring: z.strictObject({ ...PageQuery, ...FilterMembers }), response: { 200: pageOf(AdminReport) } }
  }, async ({ query: { limit, cursor, ...filter } }) => {
    const before = readPlace(cursor)
    const rows = await readRawReports(db, filterOf(filter, catalog(), clock.now(), QUERY), limit + 1, before)
    const slugs = namesOf(catalog())
    return pageRows(rows, limit, row => [row.minute.toISOString(), row.id], row => describeReport(row, slugs.get(row.serviceId)!))
  })

  app.get('/quarantine', {
    config,
    schema: {
      summary: 'What was held back, by service, network and reason',
      querystring: z.strictObject({ ...PageQuery, service: Slug.optional(), from: FilterMembers.from, to: FilterMembers.to, reason: z.enum(QUARANTINE_REASONS).optional() }),
      response: { 200: pageOf(Quarantined) }
    }
  }, async ({ query: { limit, cursor, reason, ...filter } }) => {
    const key = readCursor(cursor, z.tuple([z.iso.datetime(), z.int(), z.string(), z.int()]))
    const before = key === undefined ? undefined : { lastAt: new Date(key[0]), serviceId: key[1], network: key[2], reason: key[3] }
    const rows = await readQuarantine(db, { ...filterOf(filter, catalog(), clock.now(), QUERY), reason }, limit + 1, before)
    const slugs = namesOf(catalog())
    return pageRows(rows, limit,
      row => [row.lastAt.toISOString(), row.serviceId, row.network ?? '', QUARANTINE_REASONS.indexOf(row.reason)],
      ({ serviceId, firstAt, lastAt, ...row }) => ({ service: slugs.get(serviceId)!, ...row, first_at: at(firstAt), last_at: at(lastAt) }))
  })
}

function describeReport (row: RawReport, service: string): z.infer<typeof AdminReport> {
  const disposition = DISPOSITIONS[row.disposition]!
  return {
    id: row.id,
    service,
    interval_at: at(row.intervalAt),
    minute: at(row.minute),
    region: row.region,
    device_class: row.deviceClass,
    verdict: VERDICTS[row.verdict]!,
    symptom: row.symptom,
    impact: row.impact === null ? null : IMPACTS[row.impact]!,
    network: row.network,
    disposition,
    reason: disposition === 'quarantined' ? QUARANTINE_REASONS[row.reason ?? 0]! : null
  }
}
