// What the clock does: every instance marks the minutes it watches; one of them, the leader, rolls up and judges.
import { floorTo, HOUR_MS, judgeGraceMs, MINUTE_MS, type Clock } from '../core/time.ts'
import { LOCKS, tryHoldLock, type Connection, type Database, type HeldLock } from '../db/client.ts'
import { readCatalog } from '../db/services.ts'
import { markWatched } from '../db/watched.ts'
import { detect, loadJudging, type Judging } from './detect.ts'
import { prune } from './prune.ts'
import { continueRefold, startRefold, type Refold } from './rejudge.ts'
import { rollup } from './rollup.ts'

/** Real time between two ticks, ms: what a report waits at most, beside the rollup itself, to be in the curve. */
const TICK_MS = 1_000
/** Marks further apart than this (real ms) leave what lies between unmarked: then nobody knows whether reports could come in. */
const MARK_REACH_MS = 5_000

/** The running jobs. */
export interface Jobs {
  /** One tick, now; resolves when it is done. For tests, which have no time to wait. */
  tick: () => Promise<void>
  /** Lets the tick that runs finish, gives the lead away and stops. */
  stop: () => Promise<void>
}

/** Starts the jobs; the first tick comes at once. A tick that fails is logged and tried again: the tables are the truth. */
export function startJobs ({ database, connection, clock, retentionDays, onError, ticking = true }: {
  database: Database,
  connection: Connection,
  clock: Clock,
  retentionDays: number
  onError: (error: unknown, job: string) => void,
  ticking?: boolean
}): Jobs {
  const watch = watchMinutes(database, clock)
  const lead = leadJobs({ database, connection, clock, retentionDays })
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()

  async function tick (): Promise<void> {
    let busy = false
    await watch().catch(error => onError(error, 'watch'))
    await lead.tick().then(more => { busy = more }, error => onError(error, 'lead'))
    if (ticking && !stopped) timer = setTimeout(next, busy ? 0 : TICK_MS)
  }
  function next (): void {
    running = tick()
  }
  if (ticking) next()

  return {
    tick,
    async stop () {
      stopped = true
      clearTimeout(timer)
      await running
      await lead.release()
    }
  }
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

function leadJobs ({ database, connection, clock, retentionDays }: {
  database: Database, connection: Connection, clock: Clock, retentionDays: number
}): { tick: () => Promise<boolean>, release: () => Promise<void> } {
  let lock: HeldLock | undefined
  let judging: Judging | undefined
  let refold: Refold | undefined
  let prunedHour = -Infinity

  /** True when there is more to do at once. */
  async function work (): Promise<boolean> {
    const began = clock.now()
    const hour = floorTo(began.getTime(), HOUR_MS)
    if (hour !== prunedHour) {
      await prune(database, retentionDays, began)
      prunedHour = hour
    }
    const upToDateFrom = await rollup(database)
    judging ??= await loadJudging(database)
    const until = floorTo(began.getTime() - judgeGraceMs(clock.speed), MINUTE_MS)
    if (upToDateFrom > judging.judgedUntil) return true
    const services = [...(await readCatalog(database)).services.values()]
    if (!await detect(database, judging, services, until)) throw new Error('Another instance has judged meanwhile.')
    refold ??= await startRefold(database, services, clock.speed, clock.now())
    if (refold === undefined) return false
    if (await continueRefold(database, refold, judging)) refold = undefined
    return true
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
    async release () {
      await lock?.release().catch(() => {})
    }
  }
}
