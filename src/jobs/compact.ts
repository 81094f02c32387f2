import { compactedBefore } from '../core/curves.ts'
import type { Database } from '../db/client.ts'
import { compactBaselines, compactFlatBaselines, compactHours, compactMinutes, compactWatched, pruneWithheld } from '../db/compaction.ts'

/** Pieces of each kind in one call at most: reports wait for their recount meanwhile. */
export const PIECES_MAX = 8

/**
 * Makes windows that are past their time wider: minutes older than 35 days hours, hours older than two years days; what
 * was expected and who watched likewise. Counted from where judging stands (ms). Safe to run at any time, again, and twice at once.
 * @returns whether there may be more to do.
 */
export async function compact (database: Database, judgedUntil: number): Promise<boolean> {
  const [minutesBefore, hoursBefore] = [compactedBefore('1m', judgedUntil), compactedBefore('1h', judgedUntil)]
  const kinds = [
    () => compactMinutes(database, minutesBefore),
    () => compactHours(database, hoursBefore),
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
