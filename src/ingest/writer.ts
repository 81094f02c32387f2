// Group commit: what arrives while one commit is under way goes out together with the next.
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Fault } from '../core/faults.ts'
import type { NewReport } from '../core/reports.ts'
import { DISPOSITIONS } from '../core/vocabulary.ts'

/** Reports waiting for their commit at most, as many as there may be connections; beyond it a report is refused at once. */
export const QUEUE_MAX = 10_000
/** A report that would wait longer than this for its commit is refused at once, ms: its answer would come too late (http/waiting). */
export const WAIT_MAX_MS = 2_000
/** Reports in one statement at most. */
export const FLUSH_BATCH_MAX = 1_024
/** From each of these on batches come in multiples of it, so that few statements need preparing. */
const FLUSH_STEPS = [256, 16]
/** How much the last commit says of how long the next ones take: one that was slow by chance refuses nobody. */
const CYCLE_WEIGHT = 0.2

const QUARANTINED = DISPOSITIONS.indexOf('quarantined')

/** One commit: how many reports, how long it took, and what became of them; of one that failed, of none. */
export interface Flush { size: number, tookMs: number, counted: number, duplicate: number, quarantined: number }

/** Commits reports in groups, one statement at a time. */
export interface Writer {
  /**
   * Resolves after the commit: `new`, or `duplicate` when the id was there before.
   * @throws Fault `overloaded` when the queue is full; whatever the commit failed with.
   */
  write: (report: NewReport) => Promise<'new' | 'duplicate'>
  /** Why no report can be taken just now, if that is so: for who asks before a report is read. `write` refuses by itself. */
  refusal: () => Fault | undefined
  /** Reports that wait or are under way. */
  depth: () => number
  /** Resolves when everything accepted so far is committed or has failed. */
  drain: () => Promise<void>
}

interface Waiting { report: NewReport, settle: (outcome: 'new' | 'duplicate') => void, fail: (error: unknown) => void }

/**
 * @param insert commits a batch and resolves to the ids that are new.
 * @param onFailed told which reports were not committed, or perhaps not.
 * @param onFlushed told of every commit, once: what counts reports costs nothing for each.
 */
export function openWriter ({ insert, onFailed, onFlushed = () => {}, queueMax = QUEUE_MAX }: {
  insert: (batch: readonly NewReport[]) => Promise<Set<string>>
  onFailed: (batch: readonly NewReport[]) => void
  onFlushed?: (flush: Flush) => void
  queueMax?: number
}): Writer {
  let queue: Waiting[] = []
  let underWay = 0
  let running: Promise<void> | undefined
  /** How long it took of late from one commit to the next, ms. */
  let cycleMs = 0

  async function flushAll (): Promise<void> {
    while (queue.length > 0) {
      const began = performance.now()
      // What lies in the sockets already comes along: a lone report waits for nothing, and of many fewer statements are made.
      await nextTurn()
      const size = flushSize(queue.length)
      const batch = queue.slice(0, size)
      queue = queue.slice(size)
      underWay = batch.length
      await flush(batch)
      underWay = 0
      cycleMs += CYCLE_WEIGHT * (performance.now() - began - cycleMs)
    }
    running = undefined
  }

  async function flush (batch: readonly Waiting[]): Promise<void> {
    const began = performance.now()
    let counted = 0
    let quarantined = 0
    let duplicate = 0
    try {
      const ids = await insert(batch.map(({ report }) => report))
      for (const { report, settle } of batch) {
        // The first of one id in a batch is the new one.
        const isNew = ids.delete(report.id)
        if (!isNew) duplicate++
        else if (report.disposition === QUARANTINED) quarantined++
        else counted++
        settle(isNew ? 'new' : 'duplicate')
      }
    } catch (error) {
      onFailed(batch.map(({ report }) => report))
      for (const { fail } of batch) fail(error)
    }
    onFlushed({ size: batch.length, tookMs: performance.now() - began, counted, duplicate, quarantined })
  }

  function refusal (): Fault | undefined {
    // There is always room in the next statement: were there none, those who ask again at once would keep it empty.
    const commits = Math.ceil((queue.length + 1) / FLUSH_BATCH_MAX)
    if (queue.length < queueMax && (commits === 1 || (commits + 1) * cycleMs <= WAIT_MAX_MS)) return undefined
    return new Fault('overloaded', 'More reports arrive than can be stored right now; try again in a few seconds.', { retryAfterS: 5 })
  }

  return {
    write (report) {
      const refused = refusal()
      if (refused !== undefined) return Promise.reject(refused)
      return new Promise((resolve, reject) => {
        queue.push({ report, settle: resolve, fail: reject })
        running ??= flushAll()
      })
    },
    refusal,
    depth: () => queue.length + underWay,
    async drain () {
      await running
    }
  }
}

/** All of a small queue; of a larger one as many whole steps as fit, and the rest goes with the next. */
function flushSize (waiting: number): number {
  const most = Math.min(FLUSH_BATCH_MAX, waiting)
  const step = FLUSH_STEPS.find(step => most >= step) ?? 1
  return most - most % step
}
