import { compactedBefore } from '../core/curves.ts'
import { DAY_MS, floorTo, HOUR_MS } from '../core/time.ts'
import type { Database } from '../db/client.ts'
import {
  compactBaselines, compactFlatBaselines, compactWatched, copyDays, copyHours, dropHours, dropMinutes, pruneWithheld
} from '../db/compaction.ts'

/** Pieces of each kind in one call at most: reports wait for their recount meanwhile. */
const PIECES_MAX = 8

/**
 * Copies minutes into hours, and hours into days, an hour and a day after they have ended; deletes minutes older than 35
 * days and hours older than two years, counted from where judging stands (ms). Flattens what was expected and joins
 * what was watched as old as that. Safe to run at any time, again, and twice at once.
 * @returns whether there may be more to do.
 */
export async function compact (database: Database, judgedUntil: number): Promise<boolean> {
  const [minutesBefore, hoursBefore] = [compactedBefore('1m', judgedUntil), compactedBefore('1h', judgedUntil)]
  const kinds = [
    () => copyHours(database, floorTo(judgedUntil, HOUR_MS) - HOUR_MS),
    () => copyDays(database, floorTo(judgedUntil, DAY_MS) - DAY_MS),
    () => dropMinutes(database, minutesBefore),
    () => dropHours(database, hoursBefore),
    () => compactBaselines(database, minutesBefore),
    () => compactFlatBaselines(database, hoursBefore),
    () => compactWatched(database, minutesBefore),
    () => pruneWithheld(database, minutesBefore)
  ]
  let more = false
  for (const move of kinds) {
    let pieces = 0
    while (pieces < PIECES_MAX && await move()) pieces++
    more ||= pieces === PIECES_MAX
  }
  return more
}
