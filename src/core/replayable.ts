// What the detector judged of a service, as lines that `groundswell replay` reads: windows as seen, gaps, withheld alarms.
// Reading those lines is replay's; what is judged of them stands in detector. Instants are ms since the epoch.
import type { Stretch } from './curves.ts'
import { MINUTE_MS } from './time.ts'
import { UNKNOWN_DEVICE_CLASS, UNKNOWN_REGION } from './vocabulary.ts'

/** One cell of one minute with what was seen in time: the detector judges no other reports. */
export interface JudgedCell { start: number, region: string, deviceClass: string, working: number, degraded: number, down: number }

/** What was judged of the whole minutes `[from, to)`: cells and withheld scopes (`scopeKey`) ascending, watched stretches merged. */
export interface JudgedMinutes extends Stretch {
  cells: readonly JudgedCell[]
  withheld: readonly { minute: number, scope: string }[]
  watched: readonly Stretch[]
}

/** One line; the first says how many `down` reports an hour were expected before anything was learnt. */
export type ReplayLine =
  | { service: string, start: string, width_s: 60, expected_per_hour?: number, region: string, device_class: string, working: number, degraded: number, down: number }
  | { service: string, start: string, end: string, gap: true }
  | { service: string, start: string, withheld: string[] }

/** How far lines are written: `lastRow` is the start of the last row, null before the first; `gapFrom` that of a gap still open. */
export interface Telling { service: string, expectedPerHour: number, lastRow: number | null, gapFrom: number | null }

/** Nothing is written yet. */
export function beginTelling (service: string, expectedPerHour: number): Telling {
  return { service, expectedPerHour, lastRow: null, gapFrom: null }
}

/**
 * The lines of the next minutes, ascending; moves `telling` in place. Watched and silent minutes have none, since replay
 * fills them with zeros, but for the first: judging begins there, and what nobody watched before it is left out.
 */
export function tellMinutes (telling: Telling, { from, to, cells, withheld, watched }: JudgedMinutes): ReplayLine[] {
  const { service } = telling
  const lines: ReplayLine[] = []
  let [next, nextCell, nextWithheld] = [0, 0, 0]
  for (let start = from; start < to; start += MINUTE_MS) {
    const own: JudgedCell[] = []
    for (; cells[nextCell]?.start === start; nextCell++) own.push(cells[nextCell]!)
    const scopes: string[] = []
    for (; withheld[nextWithheld]?.minute === start; nextWithheld++) scopes.push(withheld[nextWithheld]!.scope)
    while (next < watched.length && watched[next]!.to <= start) next++
    if (next === watched.length || watched[next]!.from > start) {
      if (telling.lastRow !== null) telling.gapFrom ??= start
      continue
    }
    lines.push(...endGap(telling, start))
    if (own.length === 0 && telling.lastRow === null) own.push(silence(start))
    for (const cell of own) lines.push(rowOf(telling, cell))
    if (scopes.length > 0) lines.push({ service, start: instant(start), withheld: scopes })
  }
  return lines
}

/** The last line of an export up to `to`, where judging is to end: a gap, or zeros if the last minute was silent. */
export function endTelling (telling: Telling, to: number): ReplayLine[] {
  if (telling.lastRow === null) return []
  if (telling.gapFrom !== null) return endGap(telling, to)
  return telling.lastRow < to - MINUTE_MS ? [rowOf(telling, silence(to - MINUTE_MS))] : []
}

function endGap (telling: Telling, end: number): ReplayLine[] {
  const { service, gapFrom } = telling
  if (gapFrom === null) return []
  telling.gapFrom = null
  return [{ service, start: instant(gapFrom), end: instant(end), gap: true }]
}

function rowOf (telling: Telling, { start, region, deviceClass, working, degraded, down }: JudgedCell): ReplayLine {
  const first = telling.lastRow === null ? { expected_per_hour: telling.expectedPerHour } : {}
  telling.lastRow = start
  return { service: telling.service, start: instant(start), width_s: 60, ...first, region, device_class: deviceClass, working, degraded, down }
}

function silence (start: number): JudgedCell {
  return { start, region: UNKNOWN_REGION, deviceClass: UNKNOWN_DEVICE_CLASS, working: 0, degraded: 0, down: 0 }
}

function instant (at: number): string {
  return new Date(at).toISOString().replace('.000Z', 'Z')
}
