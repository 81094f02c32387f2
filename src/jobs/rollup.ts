import { DAY_MS, MINUTE_MS } from '../core/time.ts'
import type { Database } from '../db/client.ts'
import { recountStale } from '../db/windows.ts'

/** Recounts in one tick at most, newest first. */
const RECOUNTS_MAX = 40

/**
 * Recounts stale minutes, newest first. Harmless to run twice, late, or on two instances at once.
 * @returns from where on (ms) every minute is up to date with what was committed before the call: -Infinity for all.
 */
export async function rollup (database: Database): Promise<number> {
  let upToDateFrom = Infinity
  for (let round = 0; round < RECOUNTS_MAX; round++) {
    // The minute that runs apart from a late report's: all that lies between the two would be read.
    const from = await recountStale(database, round === 0 ? MINUTE_MS : DAY_MS)
    if (from === undefined || from === -Infinity) return -Infinity
    upToDateFrom = Math.min(upToDateFrom, from)
  }
  return upToDateFrom
}
