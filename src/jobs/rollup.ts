import { DAY_MS, HOUR_MS, MINUTE_MS } from '../core/time.ts'
import type { Database } from '../db/client.ts'
import { recountStale } from '../db/windows.ts'

/** Recounts in one tick at most, newest first. */
const RECOUNTS_MAX = 40
/** A recount of minutes that nobody waits for is to take about so long, real ms: those of the present wait for it. */
const PIECE_MS = 1_000
/** While history is imported such recounts take this share of the time: they cost twice what taking its reports in costs. */
const IMPORTING_SHARE = 0.1

/**
 * Recounts stale minutes from `liveFrom` (ms) on, newest first. Harmless to run twice, late, or on two instances at once.
 * @returns from where on (ms) every minute is up to date with what was committed before the call: -Infinity for all.
 */
export async function rollup (database: Database, liveFrom = -Infinity): Promise<number> {
  let upToDateFrom = Infinity
  for (let round = 0; round < RECOUNTS_MAX && upToDateFrom > liveFrom; round++) {
    // The minute that runs apart from a late report's: all that lies between the two would be read.
    upToDateFrom = await recountStale(database, round === 0 ? MINUTE_MS : DAY_MS, liveFrom)
  }
  return upToDateFrom
}

/**
 * Recounts minutes of before, newest first, as much of them at once as takes a second, so that those of the present can be
 * recounted between; while history is imported for a tenth of the time.
 * @param monotonic real ms
 * @returns does so for one tick, and resolves to from where on every minute is up to date.
 */
export function openPastRollup (database: Database, monotonic = () => performance.now()): (importing: boolean) => Promise<number> {
  let spanMs = HOUR_MS
  let wasImporting = false
  let restUntil = -Infinity
  return async importing => {
    // Where there was little to do, the whole day at once was no more; an import fills it.
    if (importing && !wasImporting) spanMs = HOUR_MS
    wasImporting = importing
    let upToDateFrom = Infinity
    const began = monotonic()
    for (let round = 0, at = began; round < RECOUNTS_MAX && at - began < PIECE_MS; round++) {
      if (importing && at < restUntil) break
      upToDateFrom = await recountStale(database, spanMs)
      const tookMs = monotonic() - at
      at += tookMs
      restUntil = at + tookMs * (1 / IMPORTING_SHARE - 1)
      spanMs = Math.min(DAY_MS, Math.max(HOUR_MS, spanMs * Math.min(2, PIECE_MS / tookMs)))
      if (upToDateFrom === -Infinity) break
    }
    return upToDateFrom
  }
}
