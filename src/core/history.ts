// How reliable a service was by what people reported: its outages by month and year, and the time between and within them.
// Instants are ms since the epoch, stretches half open, months and years UTC. What was watched is counted by whoever reads it.
import { commonStretches, mergeStretches, type Stretch } from './curves.ts'

/** The longest history that is told at once, in years. */
export const HISTORY_YEARS_MAX = 10
/** Months before the one that `to` lies in, when nobody says where to begin. */
const MONTHS_DEFAULT = 24

/** A confirmed outage from its onset to its resolution; `resolvedAt` null while it is open. */
export interface OutageSpan { onsetAt: number, resolvedAt: number | null }

/** A month, cut to the history it is part of, and how much of it somebody watched, ms. */
export interface WatchedMonth extends Stretch { watchedMs: number }

/** Outages that began in a month or year, for how long some outage lasted in it, and how long it was watched, s. */
export interface Reliability { outageCount: number, outageS: number, watchedS: number }

export interface History {
  months: (Reliability & Stretch & { month: string })[]
  /** `changeS` is outageS less that of the year before; null for the first. Either may be cut off by the range. */
  years: (Reliability & { year: number, changeS: number | null })[]
  meanBetweenS: number | null
  meanRecoveryS: number | null
}

/** Since when a service is watched: live, and by imported history, which ends before. */
export interface WatchBounds { liveSince: number | null, history: Stretch | null }

/** The months that `[from, to)` touches, each cut to it, ascending. */
export function monthsWithin ({ from, to }: Stretch): Stretch[] {
  const months: Stretch[] = []
  for (let start = from; start < to;) {
    const end = Math.min(startOfMonth(start, 1), to)
    months.push({ from: start, to: end })
    start = end
  }
  return months
}

/** The start of the month that is `later` months after the one that holds `at`. */
export function startOfMonth (at: number, later = 0): number {
  const date = new Date(at)
  return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + later, 1)
}

/** The name of a month: `2026-01`. */
export function monthOf (at: number): string {
  return new Date(at).toISOString().slice(0, 7)
}

/** Where a history up to `to` begins by itself: at the first watched month, at most two years and the month of `to` long. */
export function defaultFrom (to: number, { liveSince, history }: WatchBounds): number {
  const earliest = startOfMonth(to - 1, -MONTHS_DEFAULT)
  const watched = Math.min(liveSince ?? Infinity, history?.from ?? Infinity)
  return watched < to ? Math.max(earliest, startOfMonth(watched)) : watched === Infinity ? startOfMonth(to - 1) : earliest
}

/** Whether `[from, to)` is longer than HISTORY_YEARS_MAX. */
export function isTooLong ({ from, to }: Stretch): boolean {
  return to > startOfMonth(from, 12 * HISTORY_YEARS_MAX) + (from - startOfMonth(from))
}

/**
 * What is known of a month without reading a mark, and the part of it whose marks must be counted. Every minute of imported
 * history counts as watched; marks made before a service was in the catalog say nothing of it.
 */
export function splitWatched (month: Stretch, { liveSince, history }: WatchBounds): { knownMs: number, marked: Stretch | null } {
  const known = history === null ? [] : commonStretches([month], [history])
  const marked = { from: Math.max(month.from, liveSince ?? Infinity, history?.to ?? -Infinity), to: month.to }
  return { knownMs: lengthOf(known), marked: marked.from < marked.to ? marked : null }
}

/**
 * A history of consecutive months. An outage counts in the month of its onset, and its time in each month that it touches;
 * one that is open lasts until the end. Time in which two were open together is counted once.
 *
 * `meanBetweenS`: from the end of one to the onset of the next, both within the range. `meanRecoveryS`: from onset to
 * resolution, of those that began in the range and were resolved by its end. Null when there is none to take a mean of.
 */
export function tellHistory (outages: readonly OutageSpan[], watched: readonly WatchedMonth[]): History {
  const range = { from: watched[0]?.from ?? 0, to: watched.at(-1)?.to ?? 0 }
  const spans = commonStretches(
    mergeStretches(outages.map(({ onsetAt, resolvedAt }) => ({ from: onsetAt, to: resolvedAt ?? Math.max(onsetAt, range.to) }))), [range])
  const began = outages.filter(({ onsetAt }) => onsetAt >= range.from && onsetAt < range.to)
  const months = watched.map(({ from, to, watchedMs }) => ({
    month: monthOf(from),
    from,
    to,
    outageCount: began.filter(({ onsetAt }) => onsetAt >= from && onsetAt < to).length,
    outageS: seconds(lengthOf(commonStretches(spans, [{ from, to }]))),
    watchedS: seconds(watchedMs)
  }))
  const recoveries = began.flatMap(({ onsetAt, resolvedAt }) => resolvedAt === null || resolvedAt > range.to ? [] : [resolvedAt - onsetAt])
  return { months, years: sumYears(months), meanBetweenS: meanOf(pausesOf(outages, range)), meanRecoveryS: meanOf(recoveries) }
}

/** The times between outages, from the end of one to the onset of the next, of which both lie in the range. */
function pausesOf (outages: readonly OutageSpan[], { from, to }: Stretch): number[] {
  const merged = mergeStretches(outages.map(({ onsetAt, resolvedAt }) => ({ from: onsetAt, to: resolvedAt ?? Infinity })))
  return merged.slice(1).flatMap(({ from: onset }, index) => {
    const end = merged[index]!.to
    return end >= from && onset < to ? [onset - end] : []
  })
}

function sumYears (months: readonly (Reliability & Stretch)[]): History['years'] {
  const years: History['years'] = []
  for (const { from, outageCount, outageS, watchedS } of months) {
    const year = new Date(from).getUTCFullYear()
    let last = years.at(-1)
    if (last?.year !== year) years.push(last = { year, outageCount: 0, outageS: 0, watchedS: 0, changeS: null })
    last.outageCount += outageCount
    last.outageS += outageS
    last.watchedS += watchedS
  }
  return years.map((year, index) => ({ ...year, changeS: index === 0 ? null : year.outageS - years[index - 1]!.outageS }))
}

function lengthOf (stretches: readonly Stretch[]): number {
  return stretches.reduce((sum, { from, to }) => sum + to - from, 0)
}

function meanOf (durations: readonly number[]): number | null {
  return durations.length === 0 ? null : seconds(durations.reduce((sum, ms) => sum + ms, 0) / durations.length)
}

function seconds (ms: number): number {
  return Math.round(ms / 1000)
}
