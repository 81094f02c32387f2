// Outages with their timelines, as the API tells them.
import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import { tellEvent, tellOutage } from '../core/telling.ts'
import { ACTORS, ALL, EVENT_TYPES, OUTAGE_STATES } from '../core/vocabulary.ts'
import type { Db } from '../db/client.ts'
import { findOutage, readOutageEvents, readOutages, type Outage as OutageRow } from '../db/outages.ts'
import { readBeside } from '../db/related.ts'
import type { Catalog, Service } from '../db/services.ts'
import { At, BRIEFLY, checkDeviceClass, DeviceClassQuery, findAskedService, Instant, pageOf, PageQuery, pageRows, readPlace, Slug, type Routes } from './schemas.ts'
import { Workaround } from './workarounds.ts'

export const OutageRef = z.object({
  id: z.uuid(),
  service: Slug,
  state: z.enum(OUTAGE_STATES),
  scope: z.object({ region: z.string(), device_class: z.string() }).describe('* means all'),
  onset_at: At.describe('When it began, estimated from the curve'),
  detected_at: At.describe('The end of the minute whose reading made it suspected; lead time counts from here'),
  severity: z.number().min(1).describe('The peak: reports over the most that is usual, in about 15 minutes; at most 100')
}).meta({ id: 'OutageRef' })

const Reading = z.object({
  down: z.number().describe('down + half of degraded, since `since`'),
  expected: z.number(),
  bound: z.number(),
  score: z.number(),
  chart: z.string(),
  since: At,
  networks: z.int().nullable().describe('Distinct networks behind the reports, when they were counted')
})

const TimelineEntry = z.object({
  id: z.uuid(),
  at: At,
  type: z.enum(EVENT_TYPES),
  state: z.enum(OUTAGE_STATES),
  actor: z.enum(ACTORS),
  text: z.string(),
  reading: Reading.nullable().describe('Of the detector\'s entries')
})

export const OutageItem = OutageRef.extend({
  onset_interval: z.object({ from: At, to: At }),
  confirmed_at: At.nullable(),
  recovering_at: At.nullable(),
  resolved_at: At.nullable(),
  dismissed_at: At.nullable(),
  peak: z.object({ start: At, down: z.number(), expected_down: z.number() }),
  affected_share: z.object({ estimate: z.number(), low: z.number(), high: z.number() }).nullable()
    .describe('Of all who would report, for how many it began to fail, with its 95% interval; null where nobody says that it works'),
  device_impact: z.array(z.object({
    device_class: z.string(), down: z.number(), expected_down: z.number().nullable(), fallback: z.string().nullable()
  })).describe('Those without a fallback first'),
  acknowledgement: z.object({ source: z.string(), published_at: At, url: z.string().nullable() }).nullable(),
  lead_time_s: z.int().nullable().describe('acknowledgement − detection; positive: we were first'),
  disputed: z.boolean().describe('The vendor says that it works, and people say that it does not'),
  retrospective: z.boolean().describe('Found in imported history'),
  cause: z.string().nullable(),
  related: z.array(z.uuid()).describe('Outages of other services that began together with it, without a claim about the cause, and those that a moderator merged with it'),
  workarounds: z.array(Workaround)
}).meta({ id: 'OutageItem' })

export const Outage = OutageItem.extend({ timeline: z.array(TimelineEntry) }).meta({ id: 'Outage' })

/** The service that an outage is of. */
export function serviceOf ({ services }: Catalog, { serviceId }: OutageRow): Service {
  return [...services.values()].find(({ id }) => id === serviceId)!
}

/** Since when (ms) an outage is in the state it is in. */
export function stateSince (row: OutageRow): number {
  const since = { suspected: row.detectedAt, confirmed: row.confirmedAt, recovering: row.recoveringAt, resolved: row.resolvedAt, dismissed: row.dismissedAt }
  return (since[row.state] ?? row.detectedAt).getTime()
}

/** One outage as the API tells it whole. */
export async function readWhole (db: Db, row: OutageRow, catalog: Catalog, deviceClass: string = ALL): Promise<z.infer<typeof Outage>> {
  const [beside, events] = await Promise.all([readBeside(db, [row], catalog), readOutageEvents(db, row.serviceId, [row.id])])
  return { ...tellOutage(row, beside.get(row.id)!, serviceOf(catalog, row), catalog.deviceClasses, deviceClass), timeline: events.map(tellEvent) }
}

const ListQuery = z.strictObject({
  ...PageQuery,
  service: Slug.optional(),
  state: z.enum(OUTAGE_STATES).optional(),
  since: Instant.optional().describe('Detected at or after'),
  until: Instant.optional().describe('Detected before')
})
const OneQuery = z.strictObject({ device_class: DeviceClassQuery.describe('Whose workarounds; those of all by default') })
const OutagePath = z.strictObject({ id: z.uuid() })

/** `GET /v1/outages` and `/v1/outages/:id`: what people reported to fail, since when, and how it ended. */
export const outages: Routes<{ db: Db, catalog: () => Catalog }> = async (app, { db, catalog }) => {
  const findAsked = ({ service }: { service?: string | undefined }) => findAskedService(catalog(), service)

  app.get('/outages', {
    config: { check: findAsked },
    schema: { summary: 'Outages, newest first', querystring: ListQuery, response: { 200: pageOf(OutageItem) } }
  }, async ({ query }, reply) => {
    const service = findAsked(query)
    const rows = await readOutages(db, {
      serviceId: service?.id,
      state: query.state,
      since: query.since,
      until: query.until,
      before: readPlace(query.cursor)
    }, query.limit + 1)
    reply.header('cache-control', BRIEFLY)
    const known = catalog()
    const beside = await readBeside(db, rows, known)
    return pageRows(rows, query.limit, row => [row.detectedAt.toISOString(), row.id], row => tellOutage(row, beside.get(row.id)!, serviceOf(known, row), known.deviceClasses))
  })

  const check = (query: z.infer<typeof OneQuery>) => { checkDeviceClass(catalog(), query.device_class) }

  app.get('/outages/:id', {
    config: { check },
    schema: { summary: 'One outage with its timeline', params: OutagePath, querystring: OneQuery, response: { 200: Outage } }
  }, async ({ params, query }, reply) => {
    const row = await findOutage(db, params.id)
    if (row === undefined) throw new Fault('not-found', 'No outage has this id; GET /v1/outages lists them.')
    check(query)
    reply.header('cache-control', BRIEFLY)
    return readWhole(db, row, catalog(), query.device_class)
  })
}
