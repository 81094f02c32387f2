// The outage curve of one scope: as JSON, CSV, NDJSON, or a picture.
import { z } from 'zod'
import {
  expectationsOf, fillCurve, layGrid, WINDOW_NAMES, type Background, type Grid, type Point
} from '../core/curves.ts'
import { DAY_MS, floorTo, HOUR_MS, markLagMs, MINUTE_MS, type Clock } from '../core/time.ts'
import { ALL, scopeKey, SERVICE_STATES, type Scope } from '../core/vocabulary.ts'
import { readAcknowledgementsWithin, type Acknowledgement } from '../db/acknowledgements.ts'
import { readBaselines, readServiceBaselines } from '../db/baselines.ts'
import type { Db } from '../db/client.ts'
import { findJudgedUntil } from '../db/detector.ts'
import { readEventsOfAll, readOutageEvents, readOutagesWithin, type Outage, type OutageEvent } from '../db/outages.ts'
import type { Catalog, Service } from '../db/services.ts'
import { readServiceWatched, readWatchedOf } from '../db/watched.ts'
import { readServiceTallies, readTallies } from '../db/windows.ts'
import { negotiate } from './guards.ts'
import { drawCurve } from './pictures.ts'
import { at, At, BRIEFLY, checkDeviceClass, csvOf, DeviceClassQuery, Instant, RegionQuery, sendText, ServicePath, Slug, Tally, type Routes } from './schemas.ts'
import { findService } from './services.ts'

const CurveQuery = z.strictObject({
  from: Instant.optional().describe('Floored to the window; 24 hours before `to` by default'),
  to: Instant.optional().describe('Ceiled to the window and cut after the open one; now by default'),
  window: z.enum(WINDOW_NAMES).default('5m'),
  region: RegionQuery,
  device_class: DeviceClassQuery
})

export const CurvePoint = z.object({
  start: At,
  ...Tally,
  expected_down: z.number().nullable(),
  upper_down: z.int().nullable(),
  state: z.enum(SERVICE_STATES).describe('The gravest of the service in this window, by its timeline'),
  complete: z.boolean().describe('Its end has passed'),
  gap: z.boolean().describe('Nobody watched: unknown, not calm')
}).meta({ id: 'CurvePoint' })

export const Curve = z.object({
  service: Slug, window_s: z.int(), region: z.string(), device_class: z.string(), points: z.array(CurvePoint)
}).meta({ id: 'Curve' })

const PRODUCES = ['application/json', 'text/csv', 'application/x-ndjson', 'image/svg+xml'] as const

/** `GET /v1/services/:service/curve`: how many people said that it fails, window by window. */
export const curves: Routes<{ db: Db, catalog: () => Catalog, clock: Clock }> = async (app, { db, catalog, clock }) => {
  /** What is asked for. @throws Fault `invalid` */
  const lay = (query: z.infer<typeof CurveQuery>): { grid: Grid, scope: Scope, now: Date } => {
    const now = clock.now()
    const to = query.to ?? now
    const scope = { region: query.region, deviceClass: checkDeviceClass(catalog(), query.device_class) }
    return { grid: layGrid(query.from ?? new Date(Math.min(to.getTime(), now.getTime()) - DAY_MS), to, query.window, now), scope, now }
  }

  app.get('/services/:service/curve', {
    config: { produces: PRODUCES, check: (query: z.infer<typeof CurveQuery>) => { lay(query) } },
    schema: { summary: 'The outage curve', params: ServicePath, querystring: CurveQuery, response: { 200: Curve } }
  }, async (request, reply) => {
    const { params, query } = request
    const type = negotiate(request)
    const service = findService(catalog(), params.service)
    const { grid, scope, now } = lay(query)
    const { points, outages } = await readCurve(db, service, scope, grid, clock.speed, now)
    reply.header('cache-control', BRIEFLY).header('vary', 'accept').type(`${type}; charset=utf-8`)
    if (type === 'image/svg+xml') {
      const acknowledgements = await readAcknowledgementsWithin(db, service.id, new Date(grid.from), new Date(grid.to))
      return sendText(reply, pictureOf(catalog(), service, scope, grid, points, outages, acknowledgements))
    }
    const rows = points.map(describePoint)
    if (type === 'text/csv') return sendText(reply, csvOf(CurvePoint, rows))
    if (type === 'application/x-ndjson') return sendText(reply, rows.map(row => `${JSON.stringify(row)}\n`).join(''))
    return { service: service.slug, window_s: grid.widthMs / 1000, region: scope.region, device_class: scope.deviceClass, points: rows }
  })
}

async function readCurve (db: Db, service: Service, scope: Scope, grid: Grid, speed: number, now: Date): Promise<{ points: Point[], outages: Outage[] }> {
  const key = scopeKey(scope)
  const [tallies, hours, watched, outages, judgedUntil] = await Promise.all([
    readTallies(db, service.id, scope, grid.from, grid.to, grid.widthMs),
    readBaselines(db, service.id, [key], floorTo(grid.from, HOUR_MS), grid.to),
    readServiceWatched(db, service.id, grid.from, grid.to),
    readOutagesWithin(db, [service.id], new Date(grid.from), new Date(grid.to)),
    findJudgedUntil(db)
  ])
  const events = await readOutageEvents(db, service.id, outages.map(({ id }) => id))
  const points = fillCurve(tallies.map(({ start, ...tally }) => ({ ...tally, start: start.getTime() })), grid, {
    expectations: expectationsOf(hours, key),
    watched,
    timeline: outages.flatMap(({ id }) => timelineOf(events.filter(({ outageId }) => outageId === id))),
    judgedHours: new Set(hours.map(({ hour }) => hour)),
    ...knownUntil(judgedUntil, speed, now)
  }, now)
  return { points, outages }
}

/**
 * The last two minutes of the whole of some services, as their curves at `now` tell them, by service, ascending: in one
 * round of queries however many services there are.
 */
export async function readNewestPoints (
  db: Db, serviceIds: readonly number[], speed: number, now: Date
): Promise<Map<number, z.infer<typeof CurvePoint>[]>> {
  const grid = layGrid(new Date(now.getTime() - MINUTE_MS), new Date(now.getTime() + MINUTE_MS), '1m', now)
  const [tallies, baselines, watched, outages, judgedUntil] = await Promise.all([
    readServiceTallies(db, grid.from, grid.to, serviceIds),
    readServiceBaselines(db, floorTo(grid.from, HOUR_MS), grid.to, serviceIds),
    readWatchedOf(db, serviceIds, grid.from, grid.to),
    readOutagesWithin(db, serviceIds, new Date(grid.from), new Date(grid.to)),
    findJudgedUntil(db)
  ])
  const events = await readEventsOfAll(db, outages)
  return new Map(serviceIds.map(id => {
    const hours = baselines.filter(({ serviceId }) => serviceId === id)
    const own = tallies.filter(({ service_id: serviceId }) => serviceId === id)
    const points = fillCurve(own.map(({ minute, working, degraded, down }) => ({ working, degraded, down, start: minute.getTime() })), grid, {
      expectations: new Map(hours.flatMap(({ hour, expectation }) => expectation === null ? [] : [[hour, expectation] as const])),
      watched: watched.get(id)!,
      timeline: outages.filter(({ serviceId }) => serviceId === id).flatMap(outage => timelineOf(events.get(outage.id)!)),
      judgedHours: new Set(hours.map(({ hour }) => hour)),
      ...knownUntil(judgedUntil, speed, now)
    }, now)
    return [id, points.map(describePoint)]
  }))
}

function knownUntil (judgedUntil: number | undefined, speed: number, now: Date): Pick<Background, 'judgedUntil' | 'markedUntil'> {
  return { judgedUntil: judgedUntil ?? -Infinity, markedUntil: now.getTime() - markLagMs(speed) }
}

/** Each state from its entry to the next one's. */
function timelineOf (events: readonly OutageEvent[]): Background['timeline'] {
  // A vendor's word is dated when it was said, and a note when it was made, after what is judged: neither changes how it stands.
  const own = events.filter(({ actor, type, state }) => actor !== 'vendor' && type !== 'annotated' && !(type === 'merged' && state !== 'dismissed'))
  return own.map(({ at: from, state }, index) => ({ from: from.getTime(), to: own[index + 1]?.at.getTime() ?? Infinity, state }))
    .filter(({ state }) => state !== 'resolved' && state !== 'dismissed')
}

function describePoint ({ start, expected, upper, working, degraded, down, state, complete, gap }: Point): z.infer<typeof CurvePoint> {
  return { start: at(new Date(start)), working, degraded, down, expected_down: expected, upper_down: upper, state, complete, gap }
}

function pictureOf (
  catalog: Catalog, service: Service, scope: Scope, grid: Grid, points: readonly Point[], outages: readonly Outage[], acknowledgements: readonly Acknowledgement[]
): string {
  const place = scope.region === ALL ? 'everywhere' : scope.region
  const device = scope.deviceClass === ALL ? 'all devices' : catalog.deviceClasses.get(scope.deviceClass)?.name ?? scope.deviceClass
  return drawCurve({
    title: service.name,
    scope: `${place}, ${device}`,
    windowS: grid.widthMs / 1000,
    from: grid.from,
    to: grid.to,
    points: points.map(({ expected, upper, ...point }) => ({ ...point, expectedDown: expected, upperDown: upper })),
    outages: outages.map(outage => ({
      from: outage.onsetAt.getTime(),
      suspectedAt: outage.detectedAt.getTime(),
      confirmedAt: outage.confirmedAt?.getTime() ?? null,
      to: (outage.resolvedAt ?? outage.dismissedAt)?.getTime() ?? null,
      state: outage.state
    })),
    acknowledgements: acknowledgements.map(({ publishedAt, source }) => ({ at: publishedAt.getTime(), source }))
  })
}
