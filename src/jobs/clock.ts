// What the clock does: every instance marks the minutes it watches; one of them, the leader, rolls up, judges and reads
// vendors' pages.
import { floorTo, HOUR_MS, judgeGraceMs, MINUTE_MS, type Clock } from '../core/time.ts'
import { LOCKS, tryHoldLock, type Connection, type Database, type HeldLock } from '../db/client.ts'
import { isHistoryComing } from '../db/detector.ts'
import { retentionStart } from '../db/reports.ts'
import { readCatalog } from '../db/services.ts'
import { markWatched } from '../db/watched.ts'
import { compact } from './compact.ts'
import type { Deliverer } from './deliver.ts'
import { detect, loadJudging, type Judging } from './detect.ts'
import { settleOfficial } from './official.ts'
import type { Call } from './outgoing.ts'
import { prune } from './prune.ts'
import { continueRefold, SETTLED_MS, startRefold, type Refold } from './rejudge.ts'
import { rerunModerated } from './rerun.ts'
import { openPastRollup, rollup } from './rollup.ts'
import { watchSources } from './sources.ts'

/** Real time between two ticks, ms: what a report waits at most, beside the rollup itself, to be in the curve. */
const TICK_MS = 1_000
/** On the busiest days a recount of the running minute is long: ticks then keep to a tenth of the time, as far as this allows. */
const TICK_LATEST_MS = 2_500
const TICK_SHARE = 0.1
/** Marks further apart than this (real ms) leave what lies between unmarked: then nobody knows whether reports could come in. */
const MARK_REACH_MS = 5_000

/** After a long stop this much is judged between two rollups, domain ms, so that new reports are in the curve all the same. */
const CATCH_UP_MS = 4 * HOUR_MS

/** Told of what was done, to be counted; times are real ms. */
export interface JobsMeters {
  /** Once for each rollup. */
  onRolledUp: (tookMs: number) => void
  /** Minutes that were judged together. */
  onJudged: (minuteCount: number, tookMs: number) => void
}

/** The running jobs. */
export interface Jobs {
  /** One tick, now; resolves when it is done. For tests, which have no time to wait. */
  tick: () => Promise<void>
  /** Lets the tick that runs finish, gives the lead away and stops. */
  stop: () => Promise<void>
}

/** What the jobs work with; an error in one is told and tried again: the tables are the truth. */
interface JobsOptions {
  database: Database
  connection: Connection
  clock: Clock
  retentionDays: number
  /** How other people's servers are called. */
  call: Call
  deliverer: Deliverer
  onError: (error: unknown, job: string) => void
  meters?: JobsMeters
}

/** Starts the jobs; the first tick comes at once, or, when they are not `ticking`, as the caller says. */
export function startJobs (options: JobsOptions & { ticking?: boolean }): Jobs {
  const { database, clock, deliverer, onError, ticking = true } = options
  const watch = watchMinutes(database, clock)
  const lead = leadJobs(options)
  const mark = async () => {
    await watch().catch(error => onError(error, 'watch'))
    return false
  }
  const work = () => lead.tick().catch(error => {
    onError(error, 'lead')
    return false
  })
  const readSources = watchSources({ ...options, random: Math.random })
  const ending = new AbortController()
  const sources = async () => {
    if (lead.held()) await readSources(ending.signal).catch(error => onError(error, 'sources'))
    return false
  }
  const deliver = () => deliverer.tick().catch(error => {
    onError(error, 'deliver')
    return false
  })
  // Apart from each other: neither a long recount nor a slow page must keep minutes from being marked or judged, nor news
  // from being told. Every instance delivers: who sends what is settled in the tables.
  const stops = ticking ? [repeat(mark), repeat(work), repeat(sources), repeat(deliver)] : []
  return {
    async tick () {
      await mark()
      await sources()
      await work()
      await deliver()
      await deliverer.settle()
    },
    async stop () {
      ending.abort()
      await Promise.all([...stops.map(stop => stop()), deliverer.stop()])
      await lead.release()
    }
  }
}

/** Runs `task` again and again, at once when it says that there is more to do; returns what stops it. */
function repeat (task: () => Promise<boolean>): () => Promise<void> {
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  const next = () => {
    const began = performance.now()
    running = task().then(more => {
      if (!stopped) timer = setTimeout(next, more ? 0 : pauseAfter(performance.now() - began))
    })
  }
  next()
  return async () => {
    stopped = true
    clearTimeout(timer)
    await running
  }
}

/** How long after a tick that took `tookMs` the next one waits, ms. */
export function pauseAfter (tookMs: number): number {
  return Math.min(TICK_LATEST_MS, Math.max(TICK_MS, tookMs * (1 / TICK_SHARE - 1)))
}

/** Marks the minute that runs, once; on a fast clock also those since the last mark, which no tick fell into. */
function watchMinutes (database: Database, clock: Clock): () => Promise<void> {
  let markedTo: number | undefined
  return async () => {
    const minute = floorTo(clock.now().getTime(), MINUTE_MS)
    if (markedTo === minute) return
    const reach = MARK_REACH_MS * clock.speed
    const from = markedTo !== undefined && minute - markedTo <= reach ? markedTo + MINUTE_MS : minute
    await markWatched(database, from, minute)
    markedTo = minute
  }
}

function leadJobs ({ database, connection, clock, retentionDays, onError, meters }: JobsOptions): {
  tick: () => Promise<boolean>
  /** Whether this instance has the lead. */
  held: () => boolean
  release: () => Promise<void>
} {
  let lock: HeldLock | undefined
  let judging: Judging | undefined
  let refold: Refold | undefined
  const rollupPast = openPastRollup(database)
  let pruneAt = -Infinity
  let compactAt = -Infinity

  /** True when there is more to do at once. */
  async function work (): Promise<boolean> {
    const began = clock.now()
    // Partitions are made days ahead: that this fails holds up nothing else, and a minute later it is tried again.
    if (began.getTime() >= pruneAt) {
      pruneAt = began.getTime() + MINUTE_MS
      await prune(database, retentionDays, began).then(() => { pruneAt = floorTo(began.getTime(), HOUR_MS) + HOUR_MS }, error => onError(error, 'prune'))
    }
    const rollupBegan = performance.now()
    const upToDateFrom = await rollup(database, judging?.judgedUntil)
    const isPastStale = upToDateFrom > -Infinity
    const importing = isPastStale && await isHistoryComing(database, new Date(began.getTime() - SETTLED_MS * clock.speed))
    const stale = isPastStale && await rollupPast(importing) > -Infinity
    meters?.onRolledUp(performance.now() - rollupBegan)
    judging ??= await loadJudging(database)
    const until = floorTo(began.getTime() - judgeGraceMs(clock.speed), MINUTE_MS)
    if (upToDateFrom > judging.judgedUntil) return true
    const services = [...(await readCatalog(database)).services.values()]
    const reach = Math.min(until, judging.judgedUntil + CATCH_UP_MS)
    const [judgingBegan, judgedBefore] = [performance.now(), judging.judgedUntil]
    if (!await detect(database, judging, services, reach)) throw new Error('Another instance has judged meanwhile.')
    meters?.onJudged((judging.judgedUntil - judgedBefore) / MINUTE_MS, performance.now() - judgingBegan)
    await settleOfficial(database, clock)
    if (judging.judgedUntil < until) return true
    await rerunModerated(database, judging, services, Date.parse(retentionStart(retentionDays, began)))
    refold ??= await startRefold(database, judging, services, clock.speed, clock.now())
    if (refold === undefined) {
      await compactNow(judging.judgedUntil)
      return stale && !importing
    }
    if (await continueRefold(database, refold, judging)) refold = undefined
    return true
  }

  /** Each hour, and until it is done at each tick: what an upgrade finds may be years of minutes. */
  async function compactNow (judgedUntil: number): Promise<void> {
    if (judgedUntil < compactAt) return
    compactAt = judgedUntil + MINUTE_MS
    await compact(database, judgedUntil).then(
      more => { compactAt = more ? judgedUntil : floorTo(judgedUntil, HOUR_MS) + HOUR_MS }, error => onError(error, 'compact'))
  }

  return {
    async tick () {
      if (lock?.lost() === true) {
        lock = judging = refold = undefined
      }
      lock ??= await tryHoldLock(connection, LOCKS.jobs)
      if (lock === undefined) return false
      try {
        return await work()
      } catch (error) {
        // What is in memory may be ahead of the tables, or half folded.
        judging = refold = undefined
        throw error
      }
    },
    held: () => lock !== undefined && !lock.lost(),
    async release () {
      await lock?.release().catch(() => {})
    }
  }
}
