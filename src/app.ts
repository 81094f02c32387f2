// The composition root: everything that exists, in order, and the end of it in the opposite order.
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { getHeapStatistics } from 'node:v8'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { INTERVAL_MS } from './core/reports.ts'
import { floorTo, MINUTE_MS, type Clock } from './core/time.ts'
import { readBlocksInForce } from './db/blocks.ts'
import { openDatabase, retryConflicts, type Connection, type Database } from './db/client.ts'
import { beginJudging, requestRejudge } from './db/detector.ts'
import { migrate } from './db/migrate.ts'
import { readFigures } from './db/figures.ts'
import { insertImported } from './db/imports.ts'
import { spendProof } from './db/proofs.ts'
import { importAgeMaxMs, insertReports, readVoices, retentionStart } from './db/reports.ts'
import { admitService } from './db/roles.ts'
import { ensureImportKey } from './db/salts.ts'
import { beginWatching, markHistory, readCatalog, seedCatalog } from './db/services.ts'
import { openHttp, type HttpOptions } from './http/server.ts'
import { holdSummaries } from './http/services.ts'
import { compileBlocks } from './ingest/blocks.ts'
import type { BulkMeter, BulkStore } from './ingest/bulk.ts'
import { NO_COUNTRIES, openCountries, type Countries } from './ingest/countries.ts'
import { openImportIntake, openIntake } from './ingest/intake.ts'
import { openProofs } from './ingest/proofs.ts'
import { holdSalts } from './ingest/salts.ts'
import { shareVoices } from './ingest/shared-voices.ts'
import { holdVoices, roomForVoices } from './ingest/voices.ts'
import { openWriter, QUEUE_MAX } from './ingest/writer.ts'
import { startJobs, type Jobs } from './jobs/clock.ts'
import { openDeliverer } from './jobs/deliver.ts'
import { openOutgoing } from './jobs/outgoing.ts'
import { prune } from './jobs/prune.ts'
import { previewRerun } from './jobs/rerun.ts'
import { expose, openMetrics, type Metrics } from './metrics.ts'
import { openRedis } from './redis.ts'

/** How often the catalog and the blocks are read again, and idle voices are forgotten, ms. */
const REFRESH_MS = 10_000
/** A statement of the jobs may take this long: a recount of a whole day, ms. */
const JOB_TIMEOUT_MS = 60_000
/** How long a moderator's call waits for those before it: they work one after another. */
const MODERATION_WAIT_MS = 15_000
/** Reading figures gives up after this, for a connection and for an answer: whoever watches the service is to hear that the database is gone. */
const FIGURES_TIMEOUT_MS = 750
/** The import key's length; `ensureImportKey` keeps the first ever made. */
export const IMPORT_KEY_BYTES = 32

/** What an app is made of. */
export interface AppOptions {
  /** As the service's role. */
  connection: Connection
  /** As the role that owns the tables; the same where there is but one; none where the database was prepared before. */
  owner: Connection | undefined
  clock: Clock
  logger: FastifyBaseLogger
  retentionDays: number
  trustProxy: readonly string[]
  /** Path of a country database in MaxMind's format. */
  geoMmdb?: string | undefined
  limits: HttpOptions['limits']
  /** The base of absolute links; without it as each request names us. */
  publicUrl?: string | undefined
  /** Where several instances count together; without it each counts in its memory. */
  redisUrl?: string | undefined
  /** Whether vendors' pages and webhooks may have addresses that are not public. */
  allowPrivateTargets?: boolean
  /** Reports that may wait for their commit, fewer than usual: in tests. */
  queueMax?: number
  /** Another time than the usual one that answers of public reads are held for, ms: in tests. */
  heldMs?: HttpOptions['heldMs']
  /** Other bounds of the event streams than the usual ones: in tests. */
  live?: HttpOptions['live']
  /** False lets the jobs run only when they are called: in tests, and beside a worker that has them. */
  ticking?: boolean
  /** Which of several workers this is, and what all of them measure, as Prometheus reads it. */
  worker?: { number: number, exposeAll: () => Promise<string> } | undefined
}

/** A running app; it listens when `http` is told to. */
export interface App {
  http: FastifyInstance
  jobs: Jobs
  database: Database
  measure: Metrics['measure']
  /** Answers what is in flight, commits what was accepted, stops the jobs and lets go of the database. */
  close: () => Promise<void>
}

export async function openApp (options: AppOptions): Promise<App> {
  const { connection, owner, clock, logger, retentionDays, queueMax = QUEUE_MAX } = options
  const monotonic = () => performance.now()
  const onError = (err: unknown) => { logger.warn({ err }, 'a database connection was lost') }
  const countries = await readCountries(options.geoMmdb)
  if (owner !== undefined) await prepareService({ connection, owner }, retentionDays, clock.now(), logger)

  const database = openDatabase(connection, { onError })
  // The writer's own connection: reads that wait for the pool do not hold up a commit.
  const ingest = openDatabase(connection, { onError, max: 4 })
  // Batches keep theirs busy for as long as they last: no single report waits behind them.
  const bulk = openDatabase(connection, { onError, max: 3 })
  const jobsDatabase = openDatabase(connection, { onError, max: 3, answerTimeoutMs: 0, statementTimeoutMs: JOB_TIMEOUT_MS })
  // Many receivers answer at once: writing that down must not keep minutes from being judged.
  const deliveries = openDatabase(connection, { onError, max: 2, answerTimeoutMs: 0 })

  const moderation = openDatabase(connection, { onError, max: 2, answerTimeoutMs: 0, statementTimeoutMs: JOB_TIMEOUT_MS, connectTimeoutMs: MODERATION_WAIT_MS })

  // For who watches the service: apart from the others, which may be busy.
  const watching = openDatabase(connection, {
    onError, max: 1, answerTimeoutMs: FIGURES_TIMEOUT_MS, statementTimeoutMs: FIGURES_TIMEOUT_MS, connectTimeoutMs: FIGURES_TIMEOUT_MS
  })

  const begun = floorTo(clock.now().getTime(), MINUTE_MS)
  // An import that begins beside a first start marks the same services.
  await retryConflicts(() => beginWatching(database, new Date(begun)))
  await beginJudging(database, begun)

  const { current: catalog, refresh: refreshCatalog } = await holdNewest(() => readCatalog(database))
  // An interval may be hundreds of thousands of rows: reading it takes longer than an answer may.
  const readVoicesOf = (intervalAt: number, serviceId?: number) => readVoices(jobsDatabase, intervalAt, serviceId)
  const redis = options.redisUrl === undefined ? undefined : await openRedis(options.redisUrl, logger)
  const voicesMax = roomForVoices(getHeapStatistics().heap_size_limit)
  const voices = redis === undefined
    ? holdVoices(readVoicesOf, clock.now().getTime(), voicesMax, monotonic)
    // Beside others no interval is known without reading it, however young.
    : shareVoices(redis, readVoicesOf, () => holdVoices(readVoicesOf, Infinity, voicesMax, monotonic), monotonic)
  await voices.rebuild(floorTo(clock.now().getTime(), INTERVAL_MS))
  const salts = holdSalts(ingest)
  const { current: blocks, refresh: refreshBlocks } = await holdNewest(async () => compileBlocks(await readBlocksInForce(database, clock.now())))
  const refreshing = setInterval(() => {
    voices.tidy()
    salts.tidy(clock.now().getTime())
    refreshBlocks().catch(err => logger.warn({ err }, 'the blocks could not be read again'))
    refreshCatalog().catch(err => logger.warn({ err }, 'the catalog could not be read again'))
  }, REFRESH_MS)

  const intake = openIntake({ catalog, countries, blocks, salts, voices, clock })
  const importIntake = openImportIntake({
    catalog,
    importKey: await ensureImportKey(database, randomBytes(IMPORT_KEY_BYTES)),
    ageMaxMs: importAgeMaxMs(retentionDays),
    clock
  })
  const metrics = openMetrics({
    pools: { http: database.pool, ingest: ingest.pool, bulk: bulk.pool, jobs: jobsDatabase.pool, deliveries: deliveries.pool, moderation: moderation.pool },
    queueDepth: () => writer.depth(),
    queueMax,
    readFigures: () => readFigures(watching),
    clock,
    monotonic,
    worker: options.worker?.number
  })
  const writer = openWriter({
    insert: batch => retryConflicts(() => insertReports(ingest, batch, clock.speed, clock.now())),
    onFailed: batch => voices.free(batch.flatMap(report => report.network === null ? [] : [{ ...report, network: report.network }])),
    onFlushed: metrics.onFlushed,
    queueMax
  })
  const call = openOutgoing({ allowPrivate: options.allowPrivateTargets === true })
  const onJobError = (err: unknown, job: string) => { logger.error({ err, job }, 'a job failed; it is tried again') }
  const deliverer = openDeliverer({
    database: deliveries,
    call,
    now: () => new Date(),
    chance: Math.random,
    onAttempt: metrics.onAttempt,
    onError: err => onJobError(err, 'deliver')
  })
  const jobs = startJobs({
    database: jobsDatabase,
    connection,
    clock,
    retentionDays,
    call,
    deliverer,
    onError: onJobError,
    meters: metrics.jobs,
    ...(options.ticking === undefined ? {} : { ticking: options.ticking })
  })
  let stopping = false
  const http = await openHttp({
    db: database,
    connection,
    chance: Math.random,
    live: options.live,
    catalog,
    refreshCatalog,
    intake,
    retentionDays,
    proofs: openProofs({ salts, spend: (signature, until) => spendProof(ingest, signature, until), now: () => new Date(), clockNow: () => clock.now().getTime() }),
    importIntake,
    writer,
    bulk: bulkStore(bulk, clock, metrics.bulk),
    summaries: holdSummaries(database, catalog, clock, monotonic),
    clock,
    moderation,
    refreshBlocks,
    previewRerun: (tx, service, fromMinute) => previewRerun(tx, service, fromMinute, Date.parse(retentionStart(retentionDays, clock.now()))),
    unreadiness: () => readUnreadiness(ingest, { full: writer.depth() >= queueMax, stopping }),
    meters: metrics.http,
    metrics: options.worker?.exposeAll ?? (async () => expose([await metrics.measure(true)])),
    logger,
    trustProxy: options.trustProxy,
    limits: options.limits,
    publicUrl: options.publicUrl,
    heldMs: options.heldMs,
    allowPrivate: options.allowPrivateTargets === true,
    shared: redis === undefined ? undefined : { redis, hash: () => salts.hashOf(clock.now().getTime()) }
  })

  return {
    http,
    jobs,
    database,
    measure: metrics.measure,
    async close () {
      stopping = true
      await http.close()
      await writer.drain()
      clearInterval(refreshing)
      await jobs.stop()
      await Promise.all([database, ingest, bulk, jobsDatabase, deliveries, moderation, watching].map(open => open.close()))
      redis?.disconnect()
    }
  }
}

/** `prepareDatabase` for the service, which says so when its role may do more than it needs. */
export async function prepareService (
  roles: { connection: Connection, owner: Connection }, retentionDays: number, now: Date, logger: Pick<FastifyBaseLogger, 'warn'>
): Promise<void> {
  const restricted = await prepareDatabase(roles, retentionDays, now)
  if (!restricted) logger.warn('the service runs as the role that owns its tables, and so can alter them: docs/operations.md says how to give it one of its own')
}

/**
 * Migrates, and fills in what a fresh database needs before the first report: the service's rights, a catalog and the
 * days' partitions.
 * @returns whether the service's role is held to rows (`admitService`).
 */
export async function prepareDatabase (
  { connection, owner }: { connection: Connection, owner: Connection }, retentionDays: number, now: Date
): Promise<boolean> {
  await migrate(owner, now)
  const restricted = await admitService(owner, connection, retentionDays)
  const database = openDatabase(connection, { onError: () => {}, max: 1, answerTimeoutMs: 0, statementTimeoutMs: JOB_TIMEOUT_MS })
  try {
    await seedCatalog(database, now)
    await prune(database, retentionDays, now)
  } finally {
    await database.close()
  }
  return restricted
}

/** Where bulk reports go: straight into statements of their own, beside the writer. */
export function bulkStore (database: Database, clock: Clock, onCommitted: BulkMeter = () => {}): BulkStore {
  return {
    async insert (reports) {
      const fresh = await retryConflicts(() => insertImported(database, reports, clock.speed, clock.now()))
      onCommitted(fresh, reports.length - fresh)
      return fresh
    },
    markHistory: spans => retryConflicts(() => markHistory(database, spans)),
    async requestRejudge (serviceIds) {
      for (const serviceId of serviceIds) await requestRejudge(database, serviceId, clock.now())
    }
  }
}

/** What was read last; a slow reading that began earlier does not undo what is newer. */
async function holdNewest<T> (read: () => Promise<T>): Promise<{ current: () => T, refresh: () => Promise<void> }> {
  let held = await read()
  let readings = 0
  let shown = 0
  return {
    current: () => held,
    async refresh () {
      const reading = ++readings
      const found = await read()
      if (reading > shown) [shown, held] = [reading, found]
    }
  }
}

async function readCountries (path: string | undefined): Promise<Countries> {
  if (path === undefined) return NO_COUNTRIES
  try {
    return openCountries(await readFile(path))
  } catch (error) {
    throw new Error(`GEO_MMDB, ${path}, cannot be read as a country database in MaxMind's format: ${(error as Error).message}. Give the path of another, or none.`, { cause: error })
  }
}

async function readUnreadiness (db: Database, { full, stopping }: { full: boolean, stopping: boolean }): Promise<string[]> {
  const answers = await db.query('select 1').then(() => true, () => false)
  return [
    ...(stopping ? ['The service is stopping.'] : []),
    ...(full ? ['The queue of reports is full.'] : []),
    ...(answers ? [] : ['The database does not answer.'])
  ]
}
