// `GET /v1/events`: what is new, as it happens, as Server-Sent Events (WHATWG HTML 9.2). The streams themselves stand in
// streams, what they are told in news and ticks.
import { Readable } from 'node:stream'
import type { FastifyBaseLogger, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Clock } from '../core/time.ts'
import { NEWS_TYPES } from '../core/vocabulary.ts'
import type { Connection, Db } from '../db/client.ts'
import { listenTo } from '../db/listening.ts'
import { NEWS_CHANNEL } from '../db/outbox.ts'
import type { Catalog } from '../db/services.ts'
import { openNewsroom, writeReset, type Newsroom } from './news.ts'
import { findAskedService, Slug, type Routes } from './schemas.ts'
import { holdStreams, STREAM_BOUNDS, type Stream, type StreamBounds } from './streams.ts'
import { openTicks } from './ticks.ts'

const EVENT_STREAM = 'text/event-stream'

/** What bounds the streams, and how often they are looked after, ms of real time. */
export type LiveBounds = StreamBounds & { heartbeatMs: number, pollMs: number, tickMs: number }
const BOUNDS: LiveBounds = {
  ...STREAM_BOUNDS,
  /** Proxies cut a connection on which nothing comes for long; with room for a busy moment a beat comes every 15 s. */
  heartbeatMs: 12_000,
  /** A notification only wakes: without one the outbox is read after this. */
  pollMs: 2_000,
  tickMs: 1_000
}

/** How long a client waits before it comes back, ms, give or take a fifth: so that a restart does not bring all at once. */
const RETRY_MS = 3_000
const RETRY_SPREAD = 0.2

const NUMBER = /^\d{1,15}$/

const EventsQuery = z.strictObject({
  service: Slug.optional().describe('Events of this service alone, and its curve as `curve` events'),
  last_event_id: z.string().regex(NUMBER, 'Expected the id of an event, a number').optional()
    .describe('The same as Last-Event-ID, which goes before, for clients that cannot set it')
})
const EventsHeaders = z.looseObject({
  'last-event-id': z.string().optional().describe('The id of the event that was seen last: what came after it follows first')
})
const Events = z.string().describe([
  'Server-Sent Events.',
  `${NEWS_TYPES.map(type => `\`${type}\``).join(', ')}: with an \`id\`; data is the outage as in GET /v1/outages, as it stood then.`,
  '`curve`, with `service` alone and without `id`: data is `{ "service", "point" }`, a point of the curve of one minute, whenever one of the last two changes.',
  '`reset`: what came after Last-Event-ID is not known any more; data is `{ "reason", "oldest" }`. What is new follows.',
  'A comment comes at least every 15 s. The stream ends now and then; come back after `retry` ms with the last `id`, as EventSource does.'
].join(' '))

/** `GET /v1/events`; what it needs. */
export interface LiveOptions {
  db: Db
  /** To listen on, with one connection of its own. */
  connection: Connection
  catalog: () => Catalog
  clock: Clock
  /** A number in [0, 1). */
  chance: () => number
  /** Other bounds than the usual ones. */
  live?: Partial<LiveBounds> | undefined
  /** Told how many streams are open, whenever that changes. */
  onStreams: (openCount: number) => void
}

/** `GET /v1/events`: every change of an outage once and in order, and the curve of one service. */
export const live: Routes<LiveOptions> = async (app, { db, connection, catalog, clock, chance, live, onStreams }) => {
  const bounds = { ...BOUNDS, ...live }
  const streams = holdStreams(bounds, chance, onStreams)
  const newsroom = openNewsroom(db)
  const ticks = openTicks(db, clock)
  const pump = warnOnce(app.log, newsroom.pump, 'the outbox could not be read; it is tried again')
  const tick = warnOnce(app.log, ticks.round, 'the curves that are listened to could not be read; it is tried again')
  const listening = listenTo(connection, NEWS_CHANNEL, {
    wake: pump, onLost: err => { app.log.warn({ err }, 'the connection that listens for news was lost; it is made again') }
  })
  const beat = () => {
    for (const stream of streams.all()) stream.send(heartbeatOf(stream, newsroom))
  }
  const timers = [setInterval(pump, bounds.pollMs), setInterval(tick, bounds.tickMs), setInterval(beat, bounds.heartbeatMs)]
  app.addHook('preClose', async () => {
    for (const timer of timers) clearInterval(timer)
    await streams.close()
  })
  app.addHook('onClose', () => listening.stop())

  const check = ({ service }: { service?: string | undefined }) => { findAskedService(catalog(), service) }

  app.get('/events', {
    config: { produces: [EVENT_STREAM], check },
    schema: { summary: 'What is new, as it happens', querystring: EventsQuery, headers: EventsHeaders, response: { 200: Events } }
  }, async (request, reply) => {
    const service = findAskedService(catalog(), request.query.service)
    // It has no end to measure, and a client that asks for the head waits for none.
    if (request.method === 'HEAD') {
      dress(reply)
      return Readable.from([]) as never
    }
    const stream = streams.open(request, reply)
    const begin = await newsroom.begin(readSeen(request))
    const retryMs = Math.round(RETRY_MS * (1 - RETRY_SPREAD + 2 * RETRY_SPREAD * chance()))
    // An id without data is no event, but what a client resumes from that is cut before the first one.
    stream.send(Buffer.from(`retry: ${retryMs}\nid: ${begin.after}\n\n`))
    if (begin.reset !== undefined) stream.send(writeReset(begin.after, begin.reset))
    newsroom.follow(stream, service?.id, begin).then(pump, err => {
      app.log.warn({ err }, 'a stream could not be brought up to date; it is cut')
      stream.cut()
    })
    if (service !== undefined) {
      ticks.follow(stream, service)
      tick()
    }
    // Returned and not sent: if the database took too long, this came too late and the client knows it.
    dress(reply)
    return stream.body as never
  })
}

/** No proxy keeps or gathers it; and its connection ends with it, since one that is kept alive would hold up the end of the service. */
function dress (reply: FastifyReply): void {
  reply.header('cache-control', 'no-store').header('x-accel-buffering', 'no').header('connection', 'close').type(EVENT_STREAM)
}

/** Does what may fail and is done again soon; a failure is said once until it has worked again. */
function warnOnce (log: FastifyBaseLogger, work: () => Promise<void>, msg: string): () => void {
  let said = false
  return () => {
    work().then(() => { said = false }, err => {
      if (!said) log.warn({ err }, msg)
      said = true
    })
  }
}

/** The number that a client has seen: NaN when it is none of ours, undefined when it says nothing. The header is the newer one. */
function readSeen ({ headers, query }: Pick<FastifyRequest, 'headers'> & { query: z.infer<typeof EventsQuery> }): number | undefined {
  const text = headers['last-event-id'] ?? query.last_event_id
  if (text === undefined || text === '') return undefined
  return NUMBER.test(String(text)) ? Number(text) : NaN
}

/** A comment, and how far the client has been told all: of a quiet service too, whose events may be older than what is kept. */
function heartbeatOf (stream: Stream, newsroom: Newsroom): Buffer {
  const until = newsroom.toldUntil(stream)
  return Buffer.from(until === undefined ? ':\n\n' : `:\nid: ${until}\n\n`)
}
