// The services and what is said of each, read at most once a second however many ask.
import { z } from 'zod'
import { ratioOf, sumExpectation } from '../core/curves.ts'
import { Fault } from '../core/faults.ts'
import { OFFICIAL_KEPT_MS, officialFreshMs, standByHand, standOfficially, type OfficialStanding } from '../core/official/standing.ts'
import { freshMs, freshnessOf, stateOf } from '../core/summaries.ts'
import { DAY_MS, floorTo, HOUR_MS, MINUTE_MS, type Clock } from '../core/time.ts'
import { isDisputed, tellOutageRef, tellWorkarounds } from '../core/telling.ts'
import { SERVICE_STATES } from '../core/vocabulary.ts'
import { readFirstAcknowledgements } from '../db/acknowledgements.ts'
import { readServiceBaselines } from '../db/baselines.ts'
import type { Db } from '../db/client.ts'
import { findJudgedUntil } from '../db/detector.ts'
import { readVendorIncidents, readWatchedSources } from '../db/official.ts'
import { readLastEnds, readOpenOutages, type Outage } from '../db/outages.ts'
import type { Catalog, Service } from '../db/services.ts'
import { readWatched } from '../db/watched.ts'
import { readServiceTallies, readSpeakingServices } from '../db/windows.ts'
import { OutageRef, stateSince } from './outages.ts'
import { at, At, atOrNull, BRIEFLY, checkDeviceClass, DeviceClassQuery, PageQuery, pageOf, pageThrough, ServicePath, Slug, Tally, type Routes } from './schemas.ts'
import { Workaround } from './workarounds.ts'

const Named = z.object({ slug: Slug, name: z.string() })

export const Counts = z.object({
  start: At,
  end: At,
  ...Tally,
  expected_down: z.number().nullable().describe('Σm: down + half of degraded that is usual here; null before the first reading'),
  upper_down: z.int().nullable().describe('What is usual is exceeded once in a hundred times'),
  ratio: z.number().nullable().describe('(down + degraded/2) / expected_down')
}).meta({ id: 'Counts' })

export const Summary = z.object({
  slug: Slug,
  name: z.string(),
  group: z.string().nullable(),
  components: z.array(Named),
  state: z.enum(SERVICE_STATES),
  since: At.nullable(),
  window: Counts.describe('The last 15 begun minutes'),
  outages: z.array(OutageRef).describe('Open outages'),
  official: z.object({
    status: z.enum(['up', 'degraded', 'down', 'unknown']),
    said_at: At.nullable(),
    checked_at: At.nullable(),
    source: z.string().nullable(),
    url: z.string().nullable()
  }).describe('The vendor\'s own word'),
  disputed: z.boolean(),
  disputed_since: At.nullable(),
  freshness: z.object({ state: z.enum(['current', 'stale']), judged_until: At.nullable(), age_s: z.int().nullable() }),
  workarounds: z.array(Workaround),
  fallbacks: z.array(z.object({ device_class: z.string(), fallback: z.string().nullable().describe('null: there is none') }))
}).meta({ id: 'Summary' })
export type SummaryBody = z.infer<typeof Summary>

/** The window of a summary, minutes. */
const WINDOW_MINUTES = 15
const REFRESH_MS = 1_000
/** A summary older than this is told to nobody without trying to read it again. */
const HELD_MAX_MS = 5_000
const SPEAKING_REFRESH_MS = 30_000

/** The summaries of all services, as of about a second ago. */
export interface Summaries {
  /** Ascending by slug; waits when what is held is older than a second. */
  read: () => Promise<readonly SummaryBody[]>
  /** One service's, as JSON, without waiting for a fresher one. */
  heldJson: (service: string) => string | Promise<string>
}

/** One reading serves everybody who asks within a second, and nobody asks twice at once. */
export function holdSummaries (db: Db, catalog: () => Catalog, clock: Clock, monotonic: () => number): Summaries {
  let held: { at: number, catalog: Catalog, list: readonly SummaryBody[], json: Map<string, string> } | undefined
  let reading: Promise<void> | undefined
  let speaking: { at: number, services: Set<number> } | undefined

  async function refresh (): Promise<void> {
    const startedAt = monotonic()
    if (speaking === undefined || startedAt - speaking.at > SPEAKING_REFRESH_MS || speaking.services.size === 0) {
      const now = clock.now().getTime()
      speaking = { at: startedAt, services: await readSpeakingServices(db, now - DAY_MS, learntSince(now)) }
    }
    const known = catalog()
    held = { at: startedAt, catalog: known, list: await readSummaries(db, known, speaking.services, clock), json: new Map() }
  }
  function refreshOnce (): Promise<void> {
    reading ??= refresh().finally(() => { reading = undefined })
    return reading
  }

  async function tell (slug: string): Promise<string> {
    if (held === undefined) await refreshOnce()
    // A failed reading shows where somebody waits for it; what is committed is acknowledged.
    else if (monotonic() - held.at >= REFRESH_MS) await refreshOnce().catch(() => {})
    // A service may be younger than what is held.
    if (!held!.list.some(summary => summary.slug === slug)) await refreshOnce()
    const text = JSON.stringify(held!.list.find(summary => summary.slug === slug) ?? null)
    held!.json.set(slug, text)
    return text
  }

  return {
    async read () {
      if (held === undefined || monotonic() - held.at >= REFRESH_MS) await refreshOnce()
      // What an editor changed is told at once; a reading that was under way may be of before.
      for (let tries = 0; held!.catalog !== catalog() && tries < 2; tries++) await refreshOnce()
      return held!.list
    },
    heldJson (slug) {
      const ageMs = held === undefined ? Infinity : monotonic() - held.at
      const known = held?.json.get(slug)
      if (known === undefined || ageMs >= HELD_MAX_MS) return tell(slug)
      // Whoever reports does not wait for the others' counts, unless nobody has asked for long.
      if (ageMs >= REFRESH_MS) refreshOnce().catch(() => {})
      return known
    }
  }
}

/** The oldest hour whose expectation still says, at `now` (ms), how long a service was learnt. */
function learntSince (now: number): number {
  return floorTo(now + MINUTE_MS - WINDOW_MINUTES * MINUTE_MS, HOUR_MS) - HOUR_MS
}

async function readSummaries (db: Db, catalog: Catalog, speaking: ReadonlySet<number>, clock: Clock): Promise<SummaryBody[]> {
  const now = clock.now()
  const end = floorTo(now.getTime(), MINUTE_MS) + MINUTE_MS
  const start = end - WINDOW_MINUTES * MINUTE_MS
  const opening = readOpenOutages(db)
  const [tallies, baselines, watched, open, lastEnds, judgedUntil, officialOf] = await Promise.all([
    readServiceTallies(db, start, end),
    readServiceBaselines(db, learntSince(now.getTime()), end),
    readWatched(db, start, end),
    opening,
    readLastEnds(db),
    findJudgedUntil(db),
    readOfficial(db, opening, clock)
  ])
  return [...catalog.services.values()].map(service => {
    const rows = baselines.filter(({ serviceId }) => serviceId === service.id)
    const expectations = new Map(rows.flatMap(({ hour, expectation }) => expectation === null ? [] : [[hour, expectation] as const]))
    const own = tallies.filter(({ service_id: id }) => id === service.id)
    const total = { working: 0, degraded: 0, down: 0 }
    let within = 0
    for (const { minute, working, degraded, down } of own) {
      total.working += working
      total.degraded += degraded
      total.down += down
      const known = expectations.has(floorTo(minute.getTime(), HOUR_MS)) && watched.some(({ from, to }) => from <= minute.getTime() && minute.getTime() < to)
      if (known) within += down + degraded / 2
    }
    const { expected, upper } = sumExpectation(expectations, watched)
    const outages = open.filter(({ serviceId }) => serviceId === service.id)
    const disputed = outages.find(isDisputed)
    const freshForMs = freshMs(clock.speed)
    const { state, since } = stateOf({
      judgedUntil,
      learntHours: rows.at(-1)?.learntHours ?? 0,
      speaks: speaking.has(service.id),
      openOutage: outages[0] === undefined ? undefined : { state: outages[0].state, since: stateSince(outages[0]) },
      lastEnd: lastEnds.get(service.id) ?? null
    }, freshForMs, now)
    return {
      ...describeService(service, catalog),
      state,
      since: since === null ? null : at(new Date(since)),
      window: { start: at(new Date(start)), end: at(new Date(end)), ...total, expected_down: expected, upper_down: upper, ratio: ratioOf(within, expected) },
      outages: outages.map(outage => tellOutageRef(outage, service.slug)),
      official: tellOfficial(officialOf(service.id, outages[0])),
      disputed: disputed !== undefined,
      disputed_since: atOrNull(disputed?.disputedSince ?? null),
      freshness: { ...freshnessOf(judgedUntil, freshForMs, now), judged_until: judgedUntil === undefined ? null : at(new Date(judgedUntil)) },
      workarounds: []
    }
  })
}

/** What the vendors say, by service; of one without a page that is read, what a moderator recorded of its open outage. */
async function readOfficial (
  db: Db, opening: Promise<Outage[]>, clock: Clock
): Promise<(serviceId: number, open: Outage | undefined) => OfficialStanding> {
  const now = clock.now()
  const sources = await readWatchedSources(db)
  const incidents = sources.size === 0 ? [] : await readVendorIncidents(db, new Date(now.getTime() - OFFICIAL_KEPT_MS))
  const recorded = await readFirstAcknowledgements(db, await opening)
  return (serviceId, open) => {
    const own = sources.get(serviceId)
    if (own !== undefined) return standOfficially(own, incidents.filter(incident => incident.serviceId === serviceId), officialFreshMs(clock.speed), now)
    return standByHand(open === undefined ? undefined : recorded.get(open.id))
  }
}

function tellOfficial ({ status, saidAt, checkedAt, source, url }: OfficialStanding): SummaryBody['official'] {
  const told = (instant: number | null) => instant === null ? null : at(new Date(instant))
  return { status, said_at: told(saidAt), checked_at: told(checkedAt), source, url }
}

function describeService (
  { slug, name, group, components, fallbacks }: Service, { deviceClasses }: Catalog
): Pick<SummaryBody, 'slug' | 'name' | 'group' | 'components' | 'fallbacks'> {
  return {
    slug,
    name,
    group,
    components: components.filter(({ retiredAt }) => retiredAt === null).map(({ slug, name }) => ({ slug, name })),
    fallbacks: fallbacks.filter(({ deviceClass }) => deviceClasses.get(deviceClass)?.retiredAt === null)
      .map(({ deviceClass, fallback }) => ({ device_class: deviceClass, fallback }))
  }
}

/** The service of a path. @throws Fault `not-found` */
export function findService (catalog: Catalog, slug: string): Service {
  const service = catalog.services.get(slug)
  if (service === undefined) throw new Fault('not-found', `No service is called "${slug}"; GET /v1/services lists them.`)
  return service
}

const ListQuery = z.strictObject({ ...PageQuery, device_class: DeviceClassQuery })
const OneQuery = z.strictObject({ device_class: DeviceClassQuery })

/** `GET /v1/services` and `/v1/services/:service`: is it working for people, service by service. */
export const services: Routes<{ summaries: Summaries, catalog: () => Catalog }> = async (app, { summaries, catalog }) => {
  const check = (query: z.infer<typeof OneQuery>) => { checkDeviceClass(catalog(), query.device_class) }

  app.get('/services', {
    config: { check },
    schema: { summary: 'The catalog, with what is said of each service', querystring: ListQuery, response: { 200: pageOf(Summary) } }
  }, async ({ query }, reply) => {
    check(query)
    reply.header('cache-control', BRIEFLY)
    const list = await summaries.read()
    const known = catalog()
    const page = pageThrough(list.filter(({ slug }) => known.services.get(slug)?.retiredAt === null), ({ slug }) => slug, query)
    return {
      ...page,
      items: page.items.map(item => ({ ...item, workarounds: tellWorkarounds(known.services.get(item.slug)!, known.deviceClasses, query.device_class) }))
    }
  })

  app.get('/services/:service', {
    config: { check },
    schema: { summary: 'One service', params: ServicePath, querystring: OneQuery, response: { 200: Summary } }
  }, async ({ params, query }, reply) => {
    findService(catalog(), params.service)
    check(query)
    reply.header('cache-control', BRIEFLY)
    const summary = (await summaries.read()).find(({ slug }) => slug === params.service)
    const known = catalog()
    return { ...summary!, workarounds: tellWorkarounds(findService(known, params.service), known.deviceClasses, query.device_class) }
  })
}
