import { z } from 'zod'
import type { ScopeExpectation } from '../core/baseline.ts'
import { CURVE_WINDOW_MAX, commonStretches, expectationsOf, keptWidth, mergeStretches, ratioOf, sumExpectation, type Stretch, type Tally as Counts } from '../core/curves.ts'
import { Fault } from '../core/faults.ts'
import { DAY_MS, floorTo, HOUR_MS, MINUTE_MS, type Clock } from '../core/time.ts'
import { ALL, countryOf, scopeKey } from '../core/vocabulary.ts'
import { readBaselines } from '../db/baselines.ts'
import type { Db } from '../db/client.ts'
import { readSymptoms } from '../db/raw-reports.ts'
import { retentionStart } from '../db/reports.ts'
import type { Catalog } from '../db/services.ts'
import { readServiceWatched } from '../db/watched.ts'
import { readDivided, readWithin, type Division } from '../db/windows.ts'
import { at, At, BRIEFLY, Instant, RegionQuery, ServicePath, Slug, Tally, type Routes } from './schemas.ts'
import { findService } from './services.ts'

/** Fewer reports than this about a symptom are not shown; regions and device classes are in the curve anyway. */
const K = 5
/** The longest range. */
const RANGE_MAX_MS = CURVE_WINDOW_MAX * DAY_MS
const BY = ['region', 'device_class', 'symptom'] as const

const BreakdownQuery = z.strictObject({
  by: z.enum(BY),
  from: Instant.optional().describe('24 hours before `to` by default; floored to the minute, to the hour when it is older than 35 days, to the day when older than two years'),
  to: Instant.optional().describe('Now by default; ceiled likewise'),
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
export const breakdowns: Routes<{ db: Db, catalog: () => Catalog, clock: Clock, retentionDays: number }> = async (app, { db, catalog, clock, retentionDays }) => {
  /** What is asked for. @throws Fault `invalid` */
  const lay = ({ by, from, to, region }: z.infer<typeof BreakdownQuery>): Stretch => {
    if (by === 'region' && region !== countryOf(region)) {
      const detail = `"${region}" has no subdivisions here; name its country, ${countryOf(region)}.`
      throw new Fault('invalid', detail, { errors: [{ pointer: '/region', detail, in: 'query' }] })
    }
    const now = clock.now()
    const end = to ?? now
    const range = layRange(from ?? new Date(Math.min(end.getTime(), now.getTime()) - DAY_MS), end, now)
    if (by !== 'symptom') return range
    const keptFrom = retentionStart(retentionDays, now)
    if (range.from < Date.parse(keptFrom)) {
      const detail = `Symptoms are told as long as raw reports are kept: from ${keptFrom}T00:00:00Z on.`
      throw new Fault('invalid', detail, { errors: [{ pointer: '/from', detail, in: 'query' }] })
    }
    // Whole hours: two ranges a minute apart would tell of that minute.
    return { from: floorTo(range.from, HOUR_MS), to: -floorTo(-range.to, HOUR_MS) }
  }

  app.get('/services/:service/breakdown', {
    config: { check: (query: z.infer<typeof BreakdownQuery>) => { lay(query) } },
    schema: { summary: 'Who is hit', params: ServicePath, querystring: BreakdownQuery, response: { 200: Breakdown } }
  }, async ({ params, query }, reply) => {
    const { by, region } = query
    const service = findService(catalog(), params.service)
    const { from, to: end } = lay(query)
    const scope = { region, deviceClass: ALL }
    reply.header('cache-control', BRIEFLY)
    const head = { service: service.slug, by, from: at(new Date(from)), to: at(new Date(end)), k: K }
    if (by === 'symptom') return { ...head, cells: describeSymptoms(await readSymptoms(db, service.id, scope, from, end)) }
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
    return {
      ...head,
      cells: cells.map(({ key, working, degraded, down }) => {
        const { expected } = sumExpectation(known.get(key)!, watched)
        return { key, working, degraded, down, expected_down: expected, ratio: ratioOf(within.get(key) ?? 0, expected), suppressed: false }
      })
    }
  })
}

/**
 * Symptoms with at least K reports. While those that are held back, with the reports that name none, are fewer than K
 * together, the smallest that would be shown is held back as well: the service's total would give them away.
 */
function describeSymptoms (rows: readonly (Counts & { key: string | null })[]): z.infer<typeof Breakdown>['cells'] {
  const sizeOf = ({ working, degraded, down }: Counts) => working + degraded + down
  const named = rows.filter(({ key }) => key !== null).sort((a, b) => sizeOf(a) - sizeOf(b))
  const held = new Set(named.filter(row => sizeOf(row) < K))
  let hidden = rows.filter(row => row.key === null || held.has(row)).reduce((sum, row) => sum + sizeOf(row), 0)
  for (const row of named) {
    if (held.size === 0 || hidden >= K) break
    if (held.has(row)) continue
    held.add(row)
    hidden += sizeOf(row)
  }
  return named.sort((a, b) => a.key! < b.key! ? -1 : 1).map(row => ({
    key: row.key!,
    ...(held.has(row) ? { working: 0, degraded: 0, down: 0 } : { working: row.working, degraded: row.degraded, down: row.down }),
    expected_down: null,
    ratio: null,
    suppressed: held.has(row)
  }))
}

/** Whole minutes, or hours or days where these alone are kept, cut after the minute that runs; as long as a curve by days may be. @throws Fault `invalid` */
function layRange (from: Date, to: Date, now: Date): Stretch {
  const begun = floorTo(now.getTime(), MINUTE_MS) + MINUTE_MS
  const range = { from: floorTo(from.getTime(), keptWidth(from.getTime(), now)), to: Math.min(-floorTo(-to.getTime(), keptWidth(to.getTime(), now)), begun) }
  const detail = from >= to
    ? `"from" (${from.toISOString()}) must lie before "to" (${to.toISOString()}).`
    : range.from >= range.to
      ? `"from" (${from.toISOString()}) lies in the future; it is ${now.toISOString()} now.`
      : range.to - range.from > RANGE_MAX_MS ? `The range is longer than ${RANGE_MAX_MS / DAY_MS} days; ask for less.` : undefined
  if (detail === undefined) return range
  throw new Fault('invalid', detail, { errors: [{ pointer: '/from', detail, in: 'query' }] })
}
