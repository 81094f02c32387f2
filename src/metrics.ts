// What the service counts and measures of itself, told as Prometheus reads it. Nothing here names a person, an address or
// anything that a client made up: every label has a fixed set of values. Who counts, counts through the callbacks below.
import { AggregatorRegistry, collectDefaultMetrics, Counter, Gauge, Registry, type MetricObject } from 'prom-client'
import { FAULT_CODES } from './core/faults.ts'
import type { Clock } from './core/time.ts'
import { SOURCE_FORMATS } from './core/vocabulary.ts'
import type { Figures } from './db/figures.ts'
import { openHistogram } from './buckets.ts'
import type { HttpMeters } from './http/server.ts'
import type { BulkMeter } from './ingest/bulk.ts'
import type { Flush } from './ingest/writer.ts'
import type { JobsMeters } from './jobs/clock.ts'
import { ATTEMPT_RESULTS } from './jobs/deliver.ts'

/** Figures are read from the tables at most this often, however many ask. */
const FIGURES_HELD_MS = 1_000

const FLUSH_SIZES = [1, 4, 16, 64, 128, 256]
/** From a commit on a fast disk to the time-out of a statement, s. */
const FLUSH_SECONDS = [0.002, 0.01, 0.05, 0.25, 1, 5]
const ROLLUP_SECONDS = [0.01, 0.05, 0.25, 1, 5, 30]
/** Judging a minute later than the next one ends would never catch up, s. */
const JUDGING_SECONDS = [0.005, 0.02, 0.1, 0.5, 2, 10, 60]
const HTTP_SECONDS = [0.005, 0.02, 0.1, 0.5, 2.5]
const METHODS = ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE', 'OPTIONS']

/** One pool of connections, as pg counts it. */
interface Pool { readonly totalCount: number, readonly idleCount: number, readonly waitingCount: number }

/** What is asked when somebody reads the metrics; `monotonic` is in ms. */
interface MetricsOptions {
  pools: Record<string, Pool>
  queueDepth: () => number
  queueMax: number
  /** Gives up by itself when the database does not answer. */
  readFigures: () => Promise<Figures>
  clock: Clock
  monotonic: () => number
  /** Which of several workers this is: what it counts carries its number. */
  worker?: number | undefined
}

/** What one process measured, as it is handed to another. */
export type Measured = MetricObject[][]

/** The callbacks that count, and the text that tells. */
export interface Metrics {
  http: HttpMeters
  jobs: JobsMeters
  onFlushed: (flush: Flush) => void
  onAttempt: (result: typeof ATTEMPT_RESULTS[number]) => void
  bulk: BulkMeter
  /** What is measured now; also without a database, then without what is read there. @param withTables false leaves that out: another tells it. */
  measure: (withTables: boolean) => Promise<Measured>
}

/** Opens the meters of one app, in a registry of their own: several apps of a process do not add up. */
export function openMetrics ({ pools, queueDepth, queueMax, readFigures, clock, monotonic, worker }: MetricsOptions): Metrics {
  const registry = new Registry()
  // Apart, since prom-client never stops watching the process: it must not keep an app that is closed.
  const ofProcess = new Registry()
  // The same whoever tells it, so it names no worker.
  const ofTables = new Registry()
  if (worker !== undefined) for (const own of [registry, ofProcess]) own.setDefaultLabels({ worker: String(worker) })
  const registers = [registry]
  const count = <Value extends string>(name: string, help: string, label: string, values: readonly Value[]) => {
    const counter = new Counter({ name, help, labelNames: [label], registers })
    // A series that begins with its first event has no increase to show.
    for (const value of values) counter.inc({ [label]: value }, 0)
    return (value: Value, by = 1) => { if (by > 0) counter.inc({ [label]: value }, by) }
  }
  const measure = (name: string, help: string, bounds: readonly number[]) => openHistogram(registry, { name, help, bounds })({})

  const countReports = count('groundswell_reports_total', 'Reports that were committed or found again, alone or in batches', 'disposition', ['counted', 'duplicate', 'quarantined'])
  const countRefusedReports = count('groundswell_reports_refused_total', 'Reports that were refused, by problem', 'problem', FAULT_CODES)
  const countProblems = count('groundswell_problems_total', 'Calls that were refused, by problem', 'problem', FAULT_CODES)
  gaugeOf(registry, 'groundswell_queue_depth', 'Reports that wait for their commit or are under way', queueDepth)
  gaugeOf(registry, 'groundswell_queue_max', 'Reports that may wait; further ones are refused', () => queueMax)
  const addFlushSize = measure('groundswell_flush_reports', 'Reports in one commit', FLUSH_SIZES)
  const addFlush = measure('groundswell_flush_duration_seconds', 'How long a commit of reports took, failed ones included', FLUSH_SECONDS)
  const addRollup = measure('groundswell_rollup_duration_seconds', 'How long it took to recount what was stale', ROLLUP_SECONDS)
  const addJudged = measure('groundswell_judging_duration_seconds', 'How long judging took, for each minute judged', JUDGING_SECONDS)
  const countAttempts = count('groundswell_delivery_attempts_total', 'Attempts to tell a webhook, by what came of them', 'result', ATTEMPT_RESULTS)
  const streams = new Gauge({ name: 'groundswell_event_streams', help: 'Clients that listen to /v1/events', registers })
  const connections = new Gauge({
    name: 'groundswell_database_connections',
    help: 'Connections of each pool, those of them that are idle, and callers that wait for one',
    labelNames: ['pool', 'state'],
    registers,
    collect () {
      for (const [pool, { totalCount, idleCount, waitingCount }] of Object.entries(pools)) {
        connections.set({ pool, state: 'total' }, totalCount)
        connections.set({ pool, state: 'idle' }, idleCount)
        connections.set({ pool, state: 'waiting' }, waitingCount)
      }
    }
  })
  const showFigures = gaugeFigures(ofTables, clock)
  const readOnce = holdFor(FIGURES_HELD_MS, monotonic, () => readFigures().catch(() => undefined))
  collectDefaultMetrics({ register: ofProcess })

  return {
    http: {
      onAnswered: measureRequests(registry),
      onRefused: code => countProblems(code),
      onReportRefused: code => countRefusedReports(code),
      onStreams: openCount => streams.set(openCount)
    },
    jobs: {
      onRolledUp: tookMs => addRollup(tookMs / 1_000),
      onJudged (minuteCount, tookMs) {
        for (let i = 0; i < minuteCount; i++) addJudged(tookMs / 1_000 / minuteCount)
      }
    },
    onAttempt: result => countAttempts(result),
    onFlushed ({ size, tookMs, counted, duplicate, quarantined }) {
      addFlushSize(size)
      addFlush(tookMs / 1_000)
      countReports('counted', counted)
      countReports('duplicate', duplicate)
      countReports('quarantined', quarantined)
    },
    bulk: (counted, duplicate) => {
      countReports('counted', counted)
      countReports('duplicate', duplicate)
    },
    async measure (withTables) {
      if (withTables) showFigures(await readOnce())
      const told = withTables ? [registry, ofTables, ofProcess] : [registry, ofProcess]
      return Promise.all(told.map(each => each.getMetricsAsJSON()))
    }
  }
}

/** What one process or several measured, as Prometheus reads it: text, 0.0.4. */
export function expose (measured: readonly Measured[]): Promise<string> {
  // Nothing is added up, since each series is of one worker: to leave some out, as the defaults do, would lose them.
  const told = measured.flat().map(metrics => metrics.map(metric => ({ ...metric, aggregator: 'first' as const })))
  return AggregatorRegistry.aggregate(told).metrics()
}

function gaugeOf (registry: Registry, name: string, help: string, read: () => number): void {
  const gauge: Gauge = new Gauge({ name, help, registers: [registry], collect: () => gauge.set(read()) })
}

/** The durations of requests. A series is found by its route and method, which are few and always the same strings. */
function measureRequests (registry: Registry): HttpMeters['onAnswered'] {
  const open = openHistogram<'route' | 'method' | 'status'>(registry, {
    name: 'groundswell_http_request_duration_seconds',
    help: 'Requests by the pattern of their route ("none": no call has the path), method and class of status',
    bounds: HTTP_SECONDS
  })
  const routes = new Map<string, Map<string, ((value: number) => void)[]>>()
  return (route = 'none', method, status, tookMs) => {
    let methods = routes.get(route)
    if (methods === undefined) routes.set(route, methods = new Map())
    const known = METHODS.includes(method) ? method : 'other'
    let classes = methods.get(known)
    if (classes === undefined) methods.set(known, classes = [])
    const first = Math.floor(status / 100)
    const add = classes[first] ??= open({ route, method: known, status: `${first}xx` })
    add(tookMs / 1_000)
  }
}

/** Gauges of what the tables say; while they do not answer all are absent but the one that says so. */
function gaugeFigures (registry: Registry, clock: Clock): (figures: Figures | undefined) => void {
  const gauge = <Label extends string = never>(name: string, help: string, ...labelNames: Label[]) => new Gauge<Label>({ name, help, labelNames, registers: [registry] })
  const up = gauge('groundswell_database_up', '1 when the database answered, else 0')
  const rollupLag = gauge('groundswell_rollup_lag_seconds', 'Age of the oldest minute with reports that are not in the curves yet; 0: none')
  const judgingLag = gauge('groundswell_judging_lag_seconds', 'How long ago the minute ended that was judged last')
  const outboxDepth = gauge('groundswell_outbox_depth', 'News that the webhook furthest behind has no delivery of yet')
  const pending = gauge('groundswell_deliveries_pending', 'Deliveries to webhooks that have not ended')
  const undeliveredAge = gauge('groundswell_undelivered_age_seconds', 'Age of the oldest news that some webhook waits for; 0: none')
  const enabled = gauge('groundswell_sources_enabled', 'Sources that are switched on', 'format')
  const stale = gauge('groundswell_sources_stale', 'Sources whose page could not be read the last time', 'format')
  const readAge = gauge('groundswell_sources_oldest_reading_age_seconds', 'Time since the page that was longest not read was read', 'format')

  return figures => {
    for (const figure of [rollupLag, judgingLag, outboxDepth, pending, undeliveredAge]) figure.remove()
    for (const figure of [enabled, stale, readAge]) figure.reset()
    up.set(figures === undefined ? 0 : 1)
    if (figures === undefined) return
    const secondsSince = (at: Date) => (clock.now().getTime() - at.getTime()) / 1_000
    rollupLag.set(figures.stalest === null ? 0 : secondsSince(figures.stalest))
    if (figures.judgedUntil !== null) judgingLag.set(secondsSince(figures.judgedUntil))
    outboxDepth.set(figures.unqueuedCount)
    pending.set(figures.pendingCount)
    undeliveredAge.set(figures.undeliveredAgeS)
    for (const format of SOURCE_FORMATS) {
      const found = figures.sources.find(source => source.format === format)
      enabled.set({ format }, found?.enabledCount ?? 0)
      stale.set({ format }, found?.staleCount ?? 0)
      if (found !== undefined && found.oldestReadAt !== null) readAge.set({ format }, secondsSince(found.oldestReadAt))
    }
  }
}

/** One reading serves everybody who asks within `heldMs`, and nobody reads twice at once. */
function holdFor<T> (heldMs: number, monotonic: () => number, read: () => Promise<T>): () => Promise<T> {
  let readAt = -Infinity
  let held: Promise<T> | undefined
  return () => {
    if (held === undefined || monotonic() - readAt >= heldMs) {
      readAt = Infinity
      held = read().finally(() => { readAt = monotonic() })
    }
    return held
  }
}
