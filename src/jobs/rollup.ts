import type { Database } from '../db/client.ts'
import { recountStale } from '../db/windows.ts'

/** Recounts in one tick at most: each takes a day of stale minutes, newest first. */
const RECOUNTS_MAX = 40

/**
 * Recounts stale minutes, newest first. Harmless to run twice, late, or on two instances at once.
 * @returns from where on (ms) every minute is up to date with what was committed before the call: -Infinity for all.
 */
export async function rollup (database: Database): Promise<number> {
  let upToDateFrom = Infinity
  for (let round = 0; round < RECOUNTS_MAX; round++) {
    const from = await recountStale(database)
    if (from === undefined || from === -Infinity) return -Infinity
    upToDateFrom = Math.min(upToDateFrom, from)
  }
  return upToDateFrom
}
