// The HTTP server: what all routes share, and where each is mounted. What a call does stands in the file of its noun.
import { randomUUID } from 'node:crypto'
import accepts from '@fastify/accepts'
import cors from '@fastify/cors'
import etag from '@fastify/etag'
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { jsonSchemaTransformObject, type ZodTypeProvider } from 'fastify-type-provider-zod'
import type { z } from 'zod'
import type { Clock } from '../core/time.ts'
import type { Db } from '../db/client.ts'
import type { Catalog } from '../db/services.ts'
import type { BulkStore } from '../ingest/bulk.ts'
import type { ImportIntake, Intake } from '../ingest/intake.ts'
import type { Writer } from '../ingest/writer.ts'
import { batches } from './batches.ts'
import { breakdowns } from './breakdowns.ts'
import { curves } from './curves.ts'
import { documentation } from './documentation.ts'
import { dressAnswers, limitRequests, type Limit } from './guards.ts'
import { operations } from './operations.ts'
import { outages } from './outages.ts'
import { answerBrokenRequest, answerProblems, answerUnknown, faultOf, faultOfZod, sendFault } from './problems.ts'
import { reports } from './reports.ts'
import { services, type Summaries } from './services.ts'
import { vocabularies } from './vocabularies.ts'

/** A request must have arrived whole within this, ms: a long batch over a slow line. */
const REQUEST_TIMEOUT_MS = 120_000
const HEADERS_TIMEOUT_MS = 20_000
const KEEP_ALIVE_TIMEOUT_MS = 72_000
/** Connections at once; further ones are closed as they come. */
const CONNECTIONS_MAX = 10_000

/** Everything that the routes need. */
export interface HttpOptions {
  db: Db
  catalog: () => Catalog
  intake: Intake
  importIntake: ImportIntake
  writer: Writer
  bulk: BulkStore
  summaries: Summaries
  clock: Clock
  unreadiness: () => Promise<string | undefined>
  logger: FastifyBaseLogger
  /** CIDRs of proxies whose X-Forwarded-For is believed. */
  trustProxy: readonly string[]
  limits: { reports: Limit, reads: Limit, admin: Limit }
}

/** Builds the server; it does not listen yet. */
export async function openHttp (options: HttpOptions): Promise<FastifyInstance> {
  const { logger, trustProxy, limits, clock } = options
  const app = Fastify({
    loggerInstance: logger,
    disableRequestLogging: true,
    trustProxy: trustProxy.length === 0 ? false : [...trustProxy],
    genReqId: () => randomUUID(),
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    http: { headersTimeout: HEADERS_TIMEOUT_MS },
    return503OnClosing: false,
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, _request, reply) => { sendFault(reply, faultOf(error)) }
  }).withTypeProvider<ZodTypeProvider>()
  app.server.maxConnections = CONNECTIONS_MAX

  useZod(app)
  answerProblems(app)
  logRequests(app)
  closeGently(app)
  const routes: { method: string, url: string }[] = []
  app.addHook('onRoute', ({ method, url }) => {
    for (const name of [method].flat()) if (!url.includes('*')) routes.push({ method: name, url })
  })

  await app.register(accepts)
  dressAnswers(app)
  await app.register(cors, {
    strictPreflight: false,
    delegator: (request, done) => done(null, isClosed(request.url)
      ? { origin: false }
      : { origin: '*', exposedHeaders: ['etag', 'ratelimit', 'ratelimit-policy', 'retry-after'], maxAge: 86_400 })
  })
  await app.register(documentation, { transformObject: jsonSchemaTransformObject })
  await app.register(operations, options)

  await app.register(async app => {
    await limitRequests(app, 'reports', limits.reports)
    await app.register(reports, options)
  }, { prefix: '/v1' })
  await app.register(async app => {
    await limitRequests(app, 'admin', limits.admin)
    await app.register(batches, { db: options.db, intake: options.importIntake, store: options.bulk, now: clock.now })
  }, { prefix: '/v1' })
  await app.register(async app => {
    await limitRequests(app, 'reads', limits.reads)
    await app.register(etag)
    await app.register(services, options)
    await app.register(curves, options)
    await app.register(breakdowns, options)
    await app.register(outages, options)
    await app.register(vocabularies, options)
  }, { prefix: '/v1' })

  app.setNotFoundHandler((request, reply) => answerUnknown(routes)(request, reply))
  return app
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

/** A line a request, without the address, the user agent or the path's values; those that went well only when asked for. */
function logRequests (app: FastifyInstance): void {
  app.addHook('onResponse', async (request, reply) => {
    const level = reply.statusCode >= 500 ? 'warn' : reply.statusCode >= 400 ? 'info' : 'debug'
    request.log[level]({
      method: request.method, route: request.routeOptions.url ?? null, status: reply.statusCode, ms: Math.round(reply.elapsedTime), request_id: request.id
    }, 'request')
  })
}

/** Once it closes, every answer ends its connection: a client that keeps one alive would hold up the end for a minute. */
function closeGently (app: FastifyInstance): void {
  let closing = false
  app.addHook('preClose', async () => { closing = true })
  app.addHook('onSend', async (_request, reply) => {
    if (closing) reply.header('connection', 'close')
  })
}

/** Calls that no other site's page may make: the admin's and the relays'. */
function isClosed (url: string): boolean {
  return url.startsWith('/v1/admin') || url.startsWith('/v1/reports/batch')
}
