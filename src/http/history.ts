// A service's history by month and year: as JSON, CSV, or a picture.
import { z } from 'zod'
import type { Stretch } from '../core/curves.ts'
import { Fault } from '../core/faults.ts'
import {
  defaultFrom, HISTORY_YEARS_MAX, isTooLong, monthsWithin, splitWatched, startOfMonth, tellHistory, type WatchBounds, type WatchedMonth
} from '../core/history.ts'
import { DAY_MS, floorTo, MINUTE_MS, type Clock } from '../core/time.ts'
import type { Db } from '../db/client.ts'
import { readConfirmedSpans } from '../db/outages.ts'
import type { Catalog } from '../db/services.ts'
import { countWatched, findWatchBounds } from '../db/watched.ts'
import { negotiate } from './guards.ts'
import { drawHistory } from './history-picture.ts'
import { at, At, BRIEFLY, csvOf, Instant, sendText, ServicePath, Slug, type Routes } from './schemas.ts'
import { findService } from './services.ts'

const HistoryQuery = z.strictObject({
  from: Instant.optional().describe('Floored to the minute; by default the first watched month, at most 24 months before that of `to`'),
  to: Instant.optional().describe('Ceiled to the minute and cut at the one that runs; now by default')
})

const Reliability = {
  outage_count: z.int().describe('Confirmed outages that began in it, those found in imported history among them'),
  outage_s: z.int().describe('How long people reported that it fails: from onset to resolution, or until `to`'),
  watched_s: z.int().describe('How much of it somebody watched: in what is missing none could be seen')
}
const HistoryMonth = z.object({ month: z.string().regex(/^\d{4}-\d\d$/), ...Reliability })
const HistoryYear = z.object({
  year: z.int(), ...Reliability, change_s: z.int().nullable().describe('outage_s less that of the year before, as far as each lies in the range; null for the first')
})

export const History = z.object({
  service: Slug,
  from: At,
  to: At,
  months: z.array(HistoryMonth),
  years: z.array(HistoryYear),
  mean_between_s: z.int().nullable().describe('From the end of an outage to the onset of the next'),
  mean_recovery_s: z.int().nullable().describe('From onset to resolution, of those that were resolved')
}).meta({ id: 'History' })

const PRODUCES = ['application/json', 'text/csv', 'image/svg+xml'] as const
/** Marks are made within minutes: a month that ended this long ago gets no more of them, ms. */
const SETTLED_MS = DAY_MS

/** `GET /v1/services/:service/history`: how often and for how long people reported that it fails, month by month. */
export const history: Routes<{ db: Db, catalog: () => Catalog, clock: Clock }> = async (app, { db, catalog, clock }) => {
  const countMonths = holdMonths(db)

  app.get('/services/:service/history', {
    config: { produces: PRODUCES, check: (query: z.infer<typeof HistoryQuery>) => { layRange(query, { liveSince: null, history: null }, clock.now()) } },
    schema: { summary: 'Outages by month and year', params: ServicePath, querystring: HistoryQuery, response: { 200: History } }
  }, async (request, reply) => {
    const { params, query } = request
    const type = negotiate(request)
    const service = findService(catalog(), params.service)
    const now = clock.now()
    const bounds = await findWatchBounds(db, service.id)
    const range = layRange(query, bounds, now)
    const [outages, watched] = await Promise.all([
      readConfirmedSpans(db, service.id, range.from, range.to), countMonths(monthsWithin(range), bounds, now)
    ])
    const told = tellHistory(outages, watched)
    reply.header('cache-control', BRIEFLY).header('vary', 'accept').type(`${type}; charset=utf-8`)
    if (type === 'image/svg+xml') return sendText(reply, drawHistory({ title: service.name, ...range, ...told }))
    const describe = ({ outageCount, outageS, watchedS }: typeof told.months[number] | typeof told.years[number]) =>
      ({ outage_count: outageCount, outage_s: outageS, watched_s: watchedS })
    const months = told.months.map(each => ({ month: each.month, ...describe(each) }))
    if (type === 'text/csv') return sendText(reply, csvOf(HistoryMonth, months))
    return {
      service: service.slug,
      from: at(new Date(range.from)),
      to: at(new Date(range.to)),
      months,
      years: told.years.map(each => ({ year: each.year, ...describe(each), change_s: each.changeS })),
      mean_between_s: told.meanBetweenS,
      mean_recovery_s: told.meanRecoveryS
    }
  })
}

/** What is asked for, in whole minutes that have ended. @throws Fault `invalid` */
function layRange ({ from, to }: z.infer<typeof HistoryQuery>, bounds: WatchBounds, now: Date): Stretch {
  const end = Math.min(to === undefined ? Infinity : -floorTo(-to.getTime(), MINUTE_MS), floorTo(now.getTime(), MINUTE_MS))
  const range = { from: from === undefined ? defaultFrom(end, bounds) : floorTo(from.getTime(), MINUTE_MS), to: end }
  const detail = from !== undefined && from > now
    ? `"from" (${from.toISOString()}) lies in the future; it is ${now.toISOString()} now.`
    : range.from >= range.to
      ? `"from" (${new Date(range.from).toISOString()}) must lie before "to" (${new Date(range.to).toISOString()}), by a minute that has ended.`
      : isTooLong(range) ? `The range is longer than ${HISTORY_YEARS_MAX} years; ask for less.` : undefined
  if (detail === undefined) return range
  throw new Fault('invalid', detail, { errors: [{ pointer: from === undefined ? '/to' : '/from', detail, in: 'query' }] })
}

/**
 * Counts the watched minutes of months. Ten years of marks are five million rows, and a second to count: those of whole
 * months that are over, which are the same for every service and for ever, are counted once.
 */
function holdMonths (db: Db): (months: readonly Stretch[], bounds: WatchBounds, now: Date) => Promise<WatchedMonth[]> {
  const settled = new Map<number, number>()
  return async (months, bounds, now) => {
    const parts = months.map(month => splitWatched(month, bounds))
    const unknown = parts.flatMap(({ marked }) => marked === null || (isWhole(marked) && settled.has(marked.from)) ? [] : [marked])
    const counts = new Map((await countWatched(db, unknown)).map((count, index) => [unknown[index]!.from, count]))
    for (const part of unknown) {
      if (isWhole(part) && part.to <= now.getTime() - SETTLED_MS) settled.set(part.from, counts.get(part.from)!)
    }
    return months.map((month, index) => {
      const { knownMs, marked } = parts[index]!
      const minutes = marked === null ? 0 : counts.get(marked.from) ?? settled.get(marked.from)!
      return { ...month, watchedMs: knownMs + minutes * MINUTE_MS }
    })
  }
}

function isWhole ({ from, to }: Stretch): boolean {
  return from === startOfMonth(from) && to === startOfMonth(from, 1)
}
