// What the detector judged of a service, for anybody to judge again: a stream in the form that `groundswell replay` reads.
import { addAbortSignal, Readable } from 'node:stream'
import { z } from 'zod'
import { WINDOW_WIDTHS, type Stretch } from '../core/curves.ts'
import { Fault } from '../core/faults.ts'
import { beginTelling, endTelling, tellMinutes, type ReplayLine } from '../core/replayable.ts'
import { floorTo, HOUR_MS, MINUTE_MS, type Clock } from '../core/time.ts'
import type { Db } from '../db/client.ts'
import { findJudgedUntil, readWithheld } from '../db/detector.ts'
import type { Catalog, Service } from '../db/services.ts'
import { findWatchBounds, readServiceWatched } from '../db/watched.ts'
import { readSeen } from '../db/windows.ts'
import { BRIEFLY, Instant, ServicePath, type Routes } from './schemas.ts'
import { findService } from './services.ts'

/** Exports under way at once, and for how long each may take, ms: a reader that stalls holds its place no longer. */
const EXPORTS_MAX = 8
const EXPORT_MS_MAX = 300_000
/** Read from the database at once, ms; the next piece only when the reader has taken the last. */
const PIECE_MS = HOUR_MS
const NDJSON = 'application/x-ndjson'

const WindowsQuery = z.strictObject({
  from: Instant.optional().describe('Floored to the minute; by default as far back as minutes are kept, 35 days, or as the service is watched'),
  to: Instant.optional().describe('Ceiled to the minute and cut at the last one judged; now by default')
})

/**
 * `GET /v1/services/:service/windows`: minutes as they were judged, region by region and device class by device class, with
 * gaps and with the alarms that too few networks stood behind. Replayed from where a service began to be watched they give
 * its outages; from later on, those of a detector that has learnt only what is in them. What moderators said is not in it.
 * When the stream breaks off, the last line may be cut.
 */
export const windows: Routes<{ db: Db, catalog: () => Catalog, clock: Clock }> = async (app, { db, catalog, clock }) => {
  const underWay = new Set<Readable>()
  app.addHook('preClose', async () => { for (const stream of underWay) stream.destroy() })

  app.get('/services/:service/windows', {
    config: {
      produces: [NDJSON], lasting: true, check: (query: z.infer<typeof WindowsQuery>) => { layRange(query, -Infinity, clock.now()) }
    },
    schema: { summary: 'What was judged, to be judged again', params: ServicePath, querystring: WindowsQuery, response: { 200: z.string() } }
  }, async (request, reply) => {
    const { params, query } = request
    const service = findService(catalog(), params.service)
    const { liveSince, history } = await findWatchBounds(db, service.id)
    const range = layRange(query, Math.min(liveSince ?? Infinity, history?.from ?? Infinity), clock.now())
    const judged = { from: range.from, to: Math.min(range.to, await findJudgedUntil(db) ?? -Infinity) }
    if (underWay.size >= EXPORTS_MAX) throw new Fault('overloaded', `${EXPORTS_MAX} exports are under way; try again in a minute.`, { retryAfterS: 60 })
    reply.header('cache-control', BRIEFLY).type(`${NDJSON}; charset=utf-8`)
    if (request.method === 'HEAD') return reply.send(Readable.from([]) as never)   // its length is not known before it is written
    const stream = addAbortSignal(AbortSignal.timeout(EXPORT_MS_MAX), Readable.from(readLines(db, service, judged)))
    underWay.add(stream)
    stream.once('close', () => underWay.delete(stream))
    return reply.send(stream as never)
  })
}

/** Whole minutes that are still kept; `since` is the first that anybody watched, ms. @throws Fault `invalid` */
function layRange ({ from, to }: z.infer<typeof WindowsQuery>, since: number, now: Date): Stretch {
  const keptFrom = floorTo(now.getTime() - WINDOW_WIDTHS['1m'].keptMs, HOUR_MS)
  const end = -floorTo(-(to ?? now).getTime(), MINUTE_MS)
  const range = { from: from === undefined ? Math.max(keptFrom, Math.min(since, end)) : floorTo(from.getTime(), MINUTE_MS), to: end }
  const [pointer, detail] = from !== undefined && from > now
    ? ['/from', `"from" (${from.toISOString()}) lies in the future; it is ${now.toISOString()} now.`]
    : range.from < keptFrom
      ? ['/from', `Minutes are kept from ${new Date(keptFrom).toISOString()} on.`]
      : from !== undefined && range.from >= end
        ? ['/from', `"from" (${from.toISOString()}) must lie before "to" (${new Date(end).toISOString()}).`]
        : end <= keptFrom ? ['/to', `Minutes are kept from ${new Date(keptFrom).toISOString()} on.`] : []
  if (pointer === undefined) return range
  throw new Fault('invalid', detail!, { errors: [{ pointer, detail: detail!, in: 'query' }] })
}

/** The lines of one export as text, a piece at a time. */
async function * readLines (db: Db, { id, slug, expectedPerHour }: Service, { from, to }: Stretch): AsyncGenerator<string> {
  if (from >= to) return
  const watched = await readServiceWatched(db, id, from, to)
  const telling = beginTelling(slug, expectedPerHour)
  for (let start = from; start < to; start += PIECE_MS) {
    const end = Math.min(start + PIECE_MS, to)
    const [rows, withheld] = await Promise.all([readSeen(db, start, end, id), readWithheld(db, start, end, id)])
    const cells = rows.map(({ minute, device_class: deviceClass, ...row }) => ({ ...row, start: minute.getTime(), deviceClass }))
    const text = textOf(tellMinutes(telling, { from: start, to: end, cells, withheld, watched }))
    if (text !== '') yield text
  }
  yield textOf(endTelling(telling, to))
}

function textOf (lines: readonly ReplayLine[]): string {
  return lines.map(line => `${JSON.stringify(line)}\n`).join('')
}
