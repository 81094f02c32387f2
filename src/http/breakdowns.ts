import { z } from 'zod'
import type { ScopeExpectation } from '../core/baseline.ts'
import { CURVE_WINDOW_MAX, commonStretches, expectationsOf, mergeStretches, ratioOf, sumExpectation, type Stretch } from '../core/curves.ts'
import { Fault } from '../core/faults.ts'
import { DAY_MS, floorTo, HOUR_MS, MINUTE_MS, type Clock } from '../core/time.ts'
import { ALL, countryOf, scopeKey } from '../core/vocabulary.ts'
import { readBaselines } from '../db/baselines.ts'
import type { Db } from '../db/client.ts'
import type { Catalog } from '../db/services.ts'
import { readServiceWatched } from '../db/watched.ts'
import { readDivided, readWithin, type Division } from '../db/windows.ts'
import { at, At, BRIEFLY, Instant, RegionQuery, ServicePath, Slug, Tally, type Routes } from './schemas.ts'
import { findService } from './services.ts'

/** Fewer reports than this about a symptom would not be shown; regions and device classes are in the curve anyway. */
const K = 5
/** The longest range. */
const RANGE_MAX_MS = CURVE_WINDOW_MAX * DAY_MS
const BY = ['region', 'device_class'] as const

const BreakdownQuery = z.strictObject({
  by: z.enum(BY),
  from: Instant.optional().describe('24 hours before `to` by default; floored to the minute'),
  to: Instant.optional().describe('Now by default; ceiled to the minute'),
  region: RegionQuery.describe('With by=region: a country, whose subdivisions are listed, itself for those who named none')
})

export const Breakdown = z.object({
  service: Slug,
  by: z.enum(BY),
  from: At,
  to: At,
  k: z.int(),
  cells: z.array(z.object({
    key: z.string(), ...Tally, expected_down: z.number().nullable(), ratio: z.number().nullable(), suppressed: z.boolean()
  }))
}).meta({ id: 'Breakdown' })

/** `GET /v1/services/:service/breakdown`: who is hit, with what is usual for each. */
export const breakdowns: Routes<{ db: Db, catalog: () => Catalog, clock: Clock }> = async (app, { db, catalog, clock }) => {
  /** What is asked for. @throws Fault `invalid` */
  const lay = ({ by, from, to, region }: z.infer<typeof BreakdownQuery>): Stretch => {
    if (by === 'region' && region !== countryOf(region)) {
      const detail = `"${region}" has no subdivisions here; name its country, ${countryOf(region)}.`
      throw new Fault('invalid', detail, { errors: [{ pointer: '/region', detail, in: 'query' }] })
    }
    const now = clock.now()
    const end = to ?? now
    return layRange(from ?? new Date(Math.min(end.getTime(), now.getTime()) - DAY_MS), end, now)
  }

  app.get('/services/:service/breakdown', {
    config: { check: (query: z.infer<typeof BreakdownQuery>) => { lay(query) } },
    schema: { summary: 'Who is hit', params: ServicePath, querystring: BreakdownQuery, response: { 200: Breakdown } }
  }, async ({ params, query }, reply) => {
    const { by, region } = query
    const service = findService(catalog(), params.service)
    const { from, to: end } = lay(query)
    const scope = { region, deviceClass: ALL }
    const division: Division = by === 'device_class' ? by : region === ALL ? 'country' : 'subdivision'

    const watched = await readServiceWatched(db, service.id, from, end)
    const cells = await readDivided(db, service.id, division, scope, from, end)
    const keys = cells.map(({ key }) => scopeKey(division === 'device_class' ? { region, deviceClass: key } : { region: key, deviceClass: ALL }))
    const baselines = await readBaselines(db, service.id, keys, floorTo(from, HOUR_MS), end)
    const known = new Map(cells.map(({ key }, index) => [key, division === 'subdivision' && key === region
      // A subdivision's expectation is its own; the country's would be that of all its subdivisions.
      ? new Map<number, ScopeExpectation>()
      : expectationsOf(baselines, keys[index]!)]))
    const judged = new Map([...known].map(([key, hours]) =>
      [key, commonStretches(watched, mergeStretches([...hours.keys()].map(hour => ({ from: hour, to: hour + HOUR_MS }))))]))
    const within = await readWithin(db, service.id, division, scope, judged)
    reply.header('cache-control', BRIEFLY)
    return {
      service: service.slug,
      by,
      from: at(new Date(from)),
      to: at(new Date(end)),
      k: K,
      cells: cells.map(({ key, working, degraded, down }) => {
        const { expected } = sumExpectation(known.get(key)!, watched)
        return { key, working, degraded, down, expected_down: expected, ratio: ratioOf(within.get(key) ?? 0, expected), suppressed: false }
      })
    }
  })
}

/** Whole minutes, cut after the one that runs; as long as a curve by days may be. @throws Fault `invalid` */
function layRange (from: Date, to: Date, now: Date): Stretch {
  const range = { from: floorTo(from.getTime(), MINUTE_MS), to: Math.min(-floorTo(-to.getTime(), MINUTE_MS), floorTo(now.getTime(), MINUTE_MS) + MINUTE_MS) }
  const detail = from >= to
    ? `"from" (${from.toISOString()}) must lie before "to" (${to.toISOString()}).`
    : range.from >= range.to
      ? `"from" (${from.toISOString()}) lies in the future; it is ${now.toISOString()} now.`
      : range.to - range.from > RANGE_MAX_MS ? `The range is longer than ${RANGE_MAX_MS / DAY_MS} days; ask for less.` : undefined
  if (detail === undefined) return range
  throw new Fault('invalid', detail, { errors: [{ pointer: '/from', detail, in: 'query' }] })
}
