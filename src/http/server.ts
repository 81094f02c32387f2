// The HTTP server: what all routes share, and where each is mounted. What a call does stands in the file of its noun.
import { randomUUID } from 'node:crypto'
import accepts from '@fastify/accepts'
import cors from '@fastify/cors'
import Fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { Fault, type FaultCode } from '../core/faults.ts'
import type { Clock } from '../core/time.ts'
import type { Database } from '../db/client.ts'
import type { BulkStore } from '../ingest/bulk.ts'
import type { ImportIntake, Intake } from '../ingest/intake.ts'
import type { Proofs } from '../ingest/proofs.ts'
import type { Writer } from '../ingest/writer.ts'
import { acknowledgements } from './acknowledgements.ts'
import { guardAdmin } from './admin.ts'
import { audit } from './audit.ts'
import { badges } from './badges.ts'
import { batches } from './batches.ts'
import { blocks } from './blocks.ts'
import { breakdowns } from './breakdowns.ts'
import { catalog } from './catalog.ts'
import { comments } from './comments.ts'
import { curves } from './curves.ts'
import type { Shared } from './counters.ts'
import { describeCalls, documentation } from './documentation.ts'
import { feeds } from './feeds.ts'
import { dressAnswers, limitRequests, tagAnswers, trustProxies, type Limit } from './guards.ts'
import { holdAnswers, type HeldOptions } from './held.ts'
import { history } from './history.ts'
import { leadTimes } from './lead-times.ts'
import { live, type LiveOptions } from './live.ts'
import { operations } from './operations.ts'
import { refuseOverload } from './overload.ts'
import { moderation, type PreviewRerun } from './moderation.ts'
import { outages } from './outages.ts'
import {
  answerBrokenRequest, answerProblems, answerUnknown, faultOf, faultOfZod, problemPages, readMethods, refuseConnection, sendFault,
  type MethodsOf
} from './problems.ts'
import { rawReports } from './raw-reports.ts'
import { reports } from './reports.ts'
import { rulings } from './rulings.ts'
import { services, type Summaries } from './services.ts'
import { sources } from './sources.ts'
import { statuspage } from './statuspage.ts'
import { tokens } from './tokens.ts'
import { takeTurns } from './turns.ts'
import { vocabularies } from './vocabularies.ts'
import { webhooks } from './webhooks.ts'
import { windows } from './windows.ts'
import { limitStalling, limitWaiting } from './waiting.ts'
import { workarounds } from './workarounds.ts'

/** A request must have arrived whole within this, ms: a long batch over a slow line. */
const REQUEST_TIMEOUT_MS = 120_000
const HEADERS_TIMEOUT_MS = 20_000
const KEEP_ALIVE_TIMEOUT_MS = 72_000
/** Connections at once; further ones are closed as they come. */
const CONNECTIONS_MAX = 10_000

/** Told of what is answered, to be counted: by kind, never by who asked or what was sent. */
export interface HttpMeters {
  /** An answer. @param route its pattern; undefined: no call has the path */
  onAnswered: (route: string | undefined, method: string, status: number, tookMs: number) => void
  /** A call that was refused. */
  onRefused: (code: FaultCode) => void
  /** A report that was refused, alone or in a batch. */
  onReportRefused: (code: FaultCode) => void
  /** How many event streams are open now, whenever that changes. */
  onStreams: (openCount: number) => void
}

/** Everything that the routes need. */
export interface HttpOptions extends Pick<LiveOptions, 'connection' | 'chance' | 'live'>, HeldOptions {
  db: Database
  /** Reads the catalog again, after it was changed here. */
  refreshCatalog: () => Promise<void>
  intake: Intake
  proofs: Proofs
  /** Days that raw reports are kept. */
  retentionDays: number
  importIntake: ImportIntake
  writer: Writer
  bulk: BulkStore
  summaries: Summaries
  /** Brings the blocks in force to this instance. */
  refreshBlocks: () => Promise<void>
  /** For what may take longer than an answer may: the work of moderators. */
  moderation: Database
  previewRerun: PreviewRerun
  clock: Clock
  /** Every reason why no report can be taken just now, each a sentence; none when one can. */
  unreadiness: () => Promise<string[]>
  meters: HttpMeters
  /** What was counted, as Prometheus' text. */
  metrics: () => Promise<string>
  logger: FastifyBaseLogger
  /** CIDRs of proxies whose X-Forwarded-For is believed. */
  trustProxy: readonly string[]
  limits: { reports: Limit, reads: Limit, admin: Limit, global?: Limit | undefined }
  /** Whether we may call addresses that are not public. */
  allowPrivate: boolean
  /** Where requests are counted together with other instances. */
  shared?: Shared | undefined
}

/** Builds the server; it does not listen yet. */
export async function openHttp (options: HttpOptions): Promise<FastifyInstance> {
  const { logger, trustProxy, limits, shared, meters } = options
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    trustProxy: trustProxy.length === 0 ? false : trustProxies(trustProxy),
    genReqId: numberRequests(),
    // A line names its request by itself: a logger for each request would be made and hardly ever used.
    childLoggerFactory: log => log,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    // A missing Host is refused by the guards, as a problem.
    http: { headersTimeout: HEADERS_TIMEOUT_MS, requireHostHeader: false },
    // "__proto__" is one more member that no call knows: it is named as such, and nothing is ever merged.
    onProtoPoisoning: 'ignore',
    onConstructorPoisoning: 'ignore',
    return503OnClosing: false,
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, _request, reply) => { sendFault(reply, faultOf(error)) }
  }).withTypeProvider<ZodTypeProvider>()
  app.server.maxConnections = CONNECTIONS_MAX
  app.server.on('connect', (_request, socket) => refuseConnection(socket, new Fault('method-not-allowed', 'This is no proxy.'), ['Allow: GET, HEAD, POST']))
  // Node asks for it when it is first read, and keeps it: whoever has left when a request is begun came from somewhere all the same.
  app.server.on('connection', ({ remoteAddress: _ }) => {})
  takeTurns(app.server)
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))

  useZod(app)
  answerProblems(app, (code, request) => {
    meters.onRefused(code)
    if (request.routeOptions.url === '/v1/reports') meters.onReportRefused(code)
  })
  noteRequests(app, meters)
  closeGently(app)
  const monotonic = () => performance.now()
  limitWaiting(app, monotonic)
  limitStalling(app, monotonic)
  const routes: { method: string, url: string }[] = []
  app.addHook('onRoute', route => {
    const { method, url } = route
    if (url.includes('*') || url.startsWith('/docs')) return
    for (const name of [method].flat()) routes.push({ method: name, url })
    // A call that takes no parameters refuses them by name as well.
    route.schema = { querystring: z.strictObject({}), ...route.schema }
  })
  /** What moderators and editors changed here is told at once. */
  let changeCount = 0
  let known: MethodsOf | undefined
  const methodsOf: MethodsOf = url => {
    const path = url.split('?', 1)[0]!
    const methods = (known ??= readMethods(routes))(path)
    return methods.length === 0 || isClosed(path) ? methods : [...methods, 'OPTIONS']
  }

  await app.register(accepts)
  openToOthers(app, methodsOf)
  app.addHook('onRoute', route => {
    if (isClosed(route.url)) route.config = { ...route.config, cors: false }
  })
  await app.register(cors, {
    origin: '*', exposedHeaders: 'etag, link, ratelimit, ratelimit-policy, retry-after', maxAge: 86_400, strictPreflight: false
  })
  dressAnswers(app)
  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404) answerUnknown(methodsOf(request.url), reply)
    else done()
  })
  app.setNotFoundHandler((request, reply) => answerUnknown(methodsOf(request.url), reply))
  await app.register(describeCalls)
  await app.register(operations, options)

  await app.register(async app => {
    refuseOverload(app, options.writer)
    limitRequests(app, 'reports', limits.reports, shared, limits.global)
    await app.register(reports, { ...options, now: () => new Date() })
  }, { prefix: '/v1' })
  await app.register(async app => {
    const { db } = options
    // A token expires in real time, whatever the domain's clock says.
    const now = () => new Date()
    limitRequests(app, 'admin', limits.admin, shared)
    await app.register(batches, { db, intake: options.importIntake, store: options.bulk, onRefused: meters.onReportRefused, now })
    await app.register(async app => {
      guardAdmin(app, { db, now, methodsOf })
      app.addHook('onSend', (request, reply, _payload, done) => {
        if (request.method !== 'GET' && reply.statusCode < 300) changeCount++
        done()
      })
      tagAnswers(app)
      await app.register(tokens, { db, now })
      await app.register(audit, { db })
      await app.register(catalog, options)
      await app.register(workarounds, options)
      await app.register(sources, options)
      const lasting = { ...options, db: options.moderation }
      await app.register(rawReports, lasting)
      await app.register(moderation, lasting)
      await app.register(rulings, options)
      await app.register(acknowledgements, options)
      await app.register(comments, options)
      await app.register(blocks, { ...options, refresh: options.refreshBlocks })
      await app.register(webhooks, { ...options, now })
    }, { prefix: '/admin' })
  }, { prefix: '/v1' })
  await app.register(async app => {
    limitRequests(app, 'reads', limits.reads, shared)
    await app.register(async app => {
      tagAnswers(app)
      await app.register(documentation)
      await app.register(problemPages)
      await app.register(windows, { ...options, prefix: '/v1' })
      await app.register(live, { ...options, onStreams: meters.onStreams, prefix: '/v1' })
    })
    await app.register(async app => {
      holdAnswers(app, options, monotonic, () => changeCount)
      tagAnswers(app)
      await app.register(async app => {
        await app.register(services, options)
        await app.register(curves, options)
        await app.register(breakdowns, options)
        await app.register(history, options)
        await app.register(outages, options)
        await app.register(leadTimes, options)
        await app.register(vocabularies, options)
      }, { prefix: '/v1' })
      await app.register(feeds, { ...options, prefix: '/feeds' })
      await app.register(statuspage, { ...options, prefix: '/statuspage' })
      await app.register(badges, { ...options, prefix: '/badges' })
    })
  })
  return app
}

/** Answers OPTIONS: what a path allows; a browser's question whether another site may call it is left to cors. */
function openToOthers (app: FastifyInstance, methodsOf: MethodsOf): void {
  app.addHook('onRequest', (request, reply, done) => {
    // What there is behind the admin's prefix its own guard tells, to token holders.
    if (request.method !== 'OPTIONS' || request.url.startsWith('/v1/admin/')) return done()
    const methods = methodsOf(request.url)
    if (!methods.includes('OPTIONS')) answerUnknown(methods, reply)
    else if (request.headers['access-control-request-method'] !== undefined) done()
    else reply.code(204).header('allow', methods.join(', ')).send()
  })
}

/** Requests are checked by zod; answers, which the tests check, are only written. */
function useZod (app: FastifyInstance): void {
  const parts = { body: 'body', querystring: 'query', query: 'query', params: 'path', headers: 'path' } as const
  app.setValidatorCompiler<z.ZodType>(({ schema, httpPart }) => data => {
    const checked = schema.safeParse(data)
    if (checked.success) return { value: checked.data }
    return { error: faultOfZod(checked.error, parts[(httpPart ?? 'body') as keyof typeof parts], data) }
  })
  app.setSerializerCompiler(() => data => JSON.stringify(data))
}

/**
 * A measurement and a line a request, without the address, the user agent or the path's values; lines of those that went
 * well only when asked for.
 */
function noteRequests (app: FastifyInstance, { onAnswered }: HttpMeters): void {
  app.addHook('onResponse', (request, reply, done) => {
    const { method, routeOptions: { url: route } } = request
    const { statusCode: status, elapsedTime } = reply
    onAnswered(route, method, status, elapsedTime)
    const level = status >= 500 ? 'warn' : status >= 400 ? 'info' : 'debug'
    request.log[level]({ method, route: route ?? null, status, ms: Math.round(elapsedTime), request_id: request.id }, 'request')
    done()
  })
}

/** Names for requests, in a UUID's form: random of each start, and counted from there, which is cheaper than random each. */
function numberRequests (): () => string {
  const start = randomUUID().slice(0, -12)
  let count = 0
  return () => start + (++count).toString(16).padStart(12, '0')
}

/** Once it closes, every answer ends its connection: a client that keeps one alive would hold up the end for a minute. */
function closeGently (app: FastifyInstance): void {
  let closing = false
  app.addHook('preClose', async () => { closing = true })
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (closing) reply.header('connection', 'close')
    done()
  })
}

/** Calls that no other site's page may make: the admin's and the relays'. */
function isClosed (url: string): boolean {
  return url.startsWith('/v1/admin') || url.startsWith('/v1/reports/batch')
}
