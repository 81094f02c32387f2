// What people report, in the form of Statuspage v2, so that clients of vendors' pages read ours unchanged.
// Its fields are those that real pages have; it knows no "unknown", so a component's description says when we know too little.
import { z } from 'zod'
import { updatedAt } from '../core/telling.ts'
import { OPEN_OUTAGE_STATES, type OutageState } from '../core/vocabulary.ts'
import type { Db } from '../db/client.ts'
import { readEventsOfAll, readOutages, type Outage, type OutageEvent } from '../db/outages.ts'
import type { Catalog, Service } from '../db/services.ts'
import { TITLES } from './feeds.ts'
import { baseOf } from './links.ts'
import { serviceOf } from './outages.ts'
import { At, BRIEFLY, Slug, type Routes } from './schemas.ts'
import { findService, type Summaries, type SummaryBody } from './services.ts'

const INCIDENTS_MAX = 50
/** From this ratio of reports to what is usual on, an outage is critical. */
const CRITICAL_RATIO = 10

const INDICATORS = ['none', 'minor', 'major', 'critical'] as const
type Indicator = typeof INDICATORS[number]
const COMPONENT_STATUSES = { none: 'operational', minor: 'degraded_performance', major: 'partial_outage', critical: 'major_outage' } as const
const DESCRIPTIONS: Record<Indicator, string> = {
  none: 'No unusual number of people reports failures',
  minor: 'People begin to report failures',
  major: 'People report failures',
  critical: 'Very many people report failures'
}
const INCIDENT_STATUSES = { suspected: 'investigating', confirmed: 'investigating', recovering: 'monitoring', resolved: 'resolved', dismissed: 'resolved' } as const satisfies Record<OutageState, string>

const Page = z.object({ id: z.string(), name: z.string(), url: z.string(), time_zone: z.string(), updated_at: At })
const Status = z.object({ indicator: z.enum(INDICATORS), description: z.string() })
const Component = z.object({
  id: z.string(),
  name: z.string(),
  status: z.enum(Object.values(COMPONENT_STATUSES)),
  created_at: At,
  updated_at: At,
  position: z.int(),
  description: z.string().nullable(),
  showcase: z.boolean(),
  start_date: z.string().nullable(),
  group_id: z.string().nullable(),
  page_id: z.string(),
  group: z.boolean(),
  only_show_if_degraded: z.boolean()
})
const IncidentUpdate = z.object({
  id: z.string(),
  status: z.enum(['investigating', 'monitoring', 'resolved']),
  body: z.string(),
  incident_id: z.string(),
  created_at: At,
  updated_at: At,
  display_at: At,
  affected_components: z.array(z.object({ code: z.string(), name: z.string(), old_status: z.string(), new_status: z.string() })),
  deliver_notifications: z.boolean(),
  custom_tweet: z.null(),
  tweet_id: z.null()
})
const Incident = z.object({
  id: z.string(),
  name: z.string(),
  status: z.enum(['investigating', 'monitoring', 'resolved']),
  created_at: At,
  updated_at: At,
  monitoring_at: At.nullable(),
  resolved_at: At.nullable(),
  impact: z.enum(INDICATORS),
  shortlink: z.string(),
  started_at: At,
  page_id: z.string(),
  incident_updates: z.array(IncidentUpdate),
  components: z.array(Component)
})
/** People report no maintenance: clients ask for it all the same. */
const Maintenances = z.object({ page: Page, scheduled_maintenances: z.array(z.never()) })
const Documents = {
  summary: z.object({ page: Page, components: z.array(Component), incidents: z.array(Incident), scheduled_maintenances: z.array(z.never()), status: Status }),
  status: z.object({ page: Page, status: Status }),
  components: z.object({ page: Page, components: z.array(Component) }),
  incidents: z.object({ page: Page, incidents: z.array(Incident) }),
  'incidents/unresolved': z.object({ page: Page, incidents: z.array(Incident) }),
  'scheduled-maintenances': Maintenances,
  'scheduled-maintenances/upcoming': Maintenances,
  'scheduled-maintenances/active': Maintenances
}
type Whole = z.infer<typeof Documents.summary>

/** `GET /statuspage/api/v2/….json`, of all services, and `/statuspage/:service/api/v2/….json`, of one. */
export const statuspage: Routes<{ db: Db, catalog: () => Catalog, summaries: Summaries, publicUrl?: string | undefined }> = async (
  app, { db, catalog, summaries, publicUrl }
) => {
  const read = async (base: string, service: Service | undefined, unresolved: boolean): Promise<Whole> => {
    const known = (await summaries.read()).filter(({ slug }) => service === undefined ? catalog().services.get(slug)?.retiredAt === null : slug === service.slug)
    const states = unresolved ? OPEN_OUTAGE_STATES : [...OPEN_OUTAGE_STATES, 'resolved'] as const
    const rows = await readOutages(db, { serviceId: service?.id, states, live: true }, INCIDENTS_MAX)
    const events = await readEventsOfAll(db, rows)
    const page = { id: service?.slug ?? 'groundswell', name: service === undefined ? 'Groundswell' : `Groundswell: ${service.name}`, url: base, time_zone: 'Etc/UTC' }
    const open = new Map(rows.filter(({ state }) => state !== 'resolved').map(row => [row.serviceId, row]))
    const components = new Map(known.map((summary, index) => {
      const own = catalog().services.get(summary.slug)!
      return [own.id, describeComponent(summary, own, open.get(own.id), page.id, index + 1)] as const
    }))
    const incidents = rows.flatMap(row => {
      const component = components.get(row.serviceId)
      return component === undefined ? [] : [describeIncident(row, events.get(row.id)!, serviceOf(catalog(), row), component, page.id, base)]
    })
    const worst = INDICATORS.findLast(indicator => incidents.some(({ status, impact }) => status !== 'resolved' && impact === indicator)) ?? 'none'
    const list = [...components.values()]
    const updated = [...incidents.map(incident => incident.updated_at), ...list.map(component => component.updated_at)].sort().at(-1) ?? inMilliseconds(new Date(0))
    return {
      page: { ...page, updated_at: updated },
      components: list,
      incidents,
      scheduled_maintenances: [],
      status: { indicator: worst, description: DESCRIPTIONS[worst] }
    }
  }

  for (const [name, schema] of Object.entries(Documents)) {
    const members = Object.keys(schema.shape) as (keyof Whole)[]
    // The summary holds what is open, as a vendor's does; incidents.json the last fifty.
    const unresolved = name !== 'incidents'
    const pick = (whole: Whole) => Object.fromEntries(members.map(member => [member, whole[member]])) as never
    app.get(`/api/v2/${name}.json`, {
      schema: { summary: `What people report, as a Statuspage v2 page: ${name}`, response: { 200: schema } }
    }, async (request, reply) => {
      reply.header('cache-control', BRIEFLY)
      return pick(await read(baseOf(request, publicUrl), undefined, unresolved))
    })
    app.get(`/:service/api/v2/${name}.json`, {
      schema: { summary: `The same of one service: ${name}`, params: z.strictObject({ service: Slug }), response: { 200: schema } }
    }, async (request, reply) => {
      const service = findService(catalog(), request.params.service)
      reply.header('cache-control', BRIEFLY)
      return pick(await read(baseOf(request, publicUrl), service, unresolved))
    })
  }
}

function impactOf ({ confirmedAt, severity }: Outage): Exclude<Indicator, 'none'> {
  if (confirmedAt === null) return 'minor'
  return severity >= CRITICAL_RATIO ? 'critical' : 'major'
}

function describeComponent (summary: SummaryBody, service: Service, open: Outage | undefined, pageId: string, position: number): z.infer<typeof Component> {
  const unsure = summary.freshness.state === 'stale'
    ? 'Not current: what people report has not been judged in the last minutes.'
    : summary.state === 'unknown' ? 'Too few people report to say whether it works.' : null
  const created = inMilliseconds(service.liveSince ?? new Date(0))
  return {
    id: summary.slug,
    name: summary.name,
    status: COMPONENT_STATUSES[open === undefined ? 'none' : impactOf(open)],
    created_at: created,
    updated_at: summary.since === null ? created : inMilliseconds(new Date(summary.since)),
    position,
    description: unsure,
    showcase: true,
    start_date: null,
    group_id: null,
    page_id: pageId,
    group: false,
    only_show_if_degraded: false
  }
}

function describeIncident (
  row: Outage, events: readonly OutageEvent[], service: Service, component: z.infer<typeof Component>, pageId: string, base: string
): z.infer<typeof Incident> {
  const impact = impactOf(row)
  const updates = events.map((event, index) => ({
    id: event.id,
    status: INCIDENT_STATUSES[event.state],
    body: event.text,
    incident_id: row.id,
    created_at: inMilliseconds(event.at),
    updated_at: inMilliseconds(event.toldAt ?? event.at),
    display_at: inMilliseconds(event.at),
    affected_components: [{ code: component.id, name: component.name, old_status: statusAfter(events[index - 1]), new_status: statusAfter(event) }],
    deliver_notifications: false,
    custom_tweet: null,
    tweet_id: null
  }))
  return {
    id: row.id,
    name: TITLES[row.state](service.name),
    status: INCIDENT_STATUSES[row.state],
    created_at: inMilliseconds(row.detectedAt),
    updated_at: inMilliseconds(updatedAt(row.detectedAt, events)),
    monitoring_at: row.recoveringAt === null ? null : inMilliseconds(row.recoveringAt),
    resolved_at: row.resolvedAt === null ? null : inMilliseconds(row.resolvedAt),
    impact,
    shortlink: `${base}/v1/outages/${row.id}`,
    started_at: inMilliseconds(row.onsetAt),
    page_id: pageId,
    // Newest first, as every Statuspage tells them.
    incident_updates: updates.reverse(),
    components: [component]
  }
}

function statusAfter (event: OutageEvent | undefined): string {
  if (event === undefined || event.state === 'resolved' || event.state === 'dismissed') return COMPONENT_STATUSES.none
  return event.state === 'suspected' ? COMPONENT_STATUSES.minor : COMPONENT_STATUSES.major
}

/** Statuspage writes milliseconds, and a client may cut them off by position. */
function inMilliseconds (instant: Date): string {
  return instant.toISOString()
}
