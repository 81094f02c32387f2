// What alarms are worth, held against the truth: pure functions of events and alarms, for any data set.
// A detection is an alarm raised while the outage lasts; one that was already open counts for nothing.
import { DAY_MS, MINUTE_MS } from '../../src/core/time.ts'
import { ALL, countryOf, type Scope } from '../../src/core/vocabulary.ts'

/** All instants in ms since the epoch; `[from, to)` is what is scored. */
export interface Truth {
  from: number
  to: number
  outages: readonly { onset: number, end: number, scope: Scope }[]
  /** What should raise no alarm. */
  distractions: readonly { kind: 'rumour' | 'brigade' | 'sybil', onset: number, end: number }[]
}

/** One alarm; `at` is when it was raised. Scopes, ascending, and onset only from detectors that tell them. */
export interface Alarm {
  at: number
  scopes?: readonly { at: number, scope: Scope }[]
  onset?: { at: number, from: number, to: number }
}

/** How one outage fared. */
export interface Outcome {
  /** Minutes from onset to alarm; null: not before its end. */
  delayMin: number | null
  /** Whether the alarm's scope was the outage's five minutes after it; null: it tells none. */
  rightScope: boolean | null
  /** Minutes by which the told onset misses the true one, and whether the told interval holds it. */
  onsetErrorMin: number | null
  onsetCovered: boolean | null
}

/** Sums over streams; add them with `addTallies`. */
export interface Tally {
  outcomes: Outcome[]
  falseAlarms: number
  /** What `falseAlarms` were counted over, in months of 30 days. */
  months: number
  distractions: Record<Truth['distractions'][number]['kind'], { raised: number, total: number }>
}

/** The figures of a table's row; a share or time that nothing was counted for is NaN. */
export interface Figures {
  outages: number
  falseAlarmsPerMonth: number
  /** Shares of outages detected within 5, 10 and 30 minutes, and before their end. */
  within: Record<5 | 10 | 30, number>
  detected: number
  /** Of those detected, minutes. */
  medianDelayMin: number
  /** Over all, those missed or later than an hour as 60 minutes. */
  meanDelayMin: number
  rightScope: number
  onsetErrorMin: number
  onsetCovered: number
  rumours: number
  fakes: number
}

const MONTH_MS = 30 * DAY_MS
/** Alarms this soon after an event are its own, not false. */
export const AFTERMATH_MS = 60 * MINUTE_MS
/** How long after the alarm the scope must be right. */
const SCOPE_AFTER_MS = 5 * MINUTE_MS
/** Delays count for at most this, minutes. */
export const DELAY_MAX_MIN = 60

export function emptyTally (): Tally {
  return { outcomes: [], falseAlarms: 0, months: 0, distractions: { rumour: { raised: 0, total: 0 }, brigade: { raised: 0, total: 0 }, sybil: { raised: 0, total: 0 } } }
}

/** Scores one service. `alarms` in any order; those outside of `[from, to)` are passed over. */
export function scoreStream (truth: Truth, alarms: readonly Alarm[]): Tally {
  const { from, to, outages, distractions } = truth
  const tally = emptyTally()
  const judged = alarms.filter(({ at }) => at > from && at <= to).sort((a, b) => a.at - b.at)
  const busy = mergeSpans([...outages, ...distractions].map(({ onset, end }): [number, number] => [Math.max(from, onset), Math.min(to, end + AFTERMATH_MS)]))
  tally.falseAlarms = judged.filter(({ at }) => !busy.some(([start, end]) => at > start && at <= end)).length
  tally.months = (to - from - busy.reduce((sum, [start, end]) => sum + end - start, 0)) / MONTH_MS
  tally.outcomes = outages.filter(({ onset }) => onset >= from && onset < to).map(outage => outcomeOf(outage, judged))
  for (const { kind, onset, end } of distractions) {
    const count = tally.distractions[kind]
    count.total++
    if (judged.some(({ at }) => at > onset && at <= end + AFTERMATH_MS)) count.raised++
  }
  return tally
}

function outcomeOf (outage: Truth['outages'][number], alarms: readonly Alarm[]): Outcome {
  const { onset, end, scope } = outage
  const alarm = alarms.find(({ at }) => at > onset && at <= end)
  if (alarm === undefined) return { delayMin: null, rightScope: null, onsetErrorMin: null, onsetCovered: null }
  const told = alarm.scopes?.filter(({ at }) => at <= alarm.at + SCOPE_AFTER_MS).at(-1)?.scope
  return {
    delayMin: (alarm.at - onset) / MINUTE_MS,
    rightScope: told === undefined ? null : isSameScope(told, scope),
    onsetErrorMin: alarm.onset === undefined ? null : Math.abs(alarm.onset.at - onset) / MINUTE_MS,
    onsetCovered: alarm.onset === undefined ? null : alarm.onset.from <= onset && onset <= alarm.onset.to
  }
}

/** A country is as right as its subdivision, where the streams know only one of it: every report counts in both. */
function isSameScope (told: Scope, truth: Scope): boolean {
  return told.deviceClass === truth.deviceClass &&
    (told.region === truth.region || (truth.region !== ALL && told.region === countryOf(truth.region)))
}

function mergeSpans (spans: readonly [number, number][]): [number, number][] {
  const merged: [number, number][] = []
  for (const [start, end] of [...spans].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1)
    if (end <= start) continue
    if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end)
    else merged.push([start, end])
  }
  return merged
}

/** The sum of tallies, such as of all services or of one rate group. */
export function addTallies (tallies: readonly Tally[]): Tally {
  const sum = emptyTally()
  for (const { outcomes, falseAlarms, months, distractions } of tallies) {
    sum.outcomes.push(...outcomes)
    sum.falseAlarms += falseAlarms
    sum.months += months
    for (const kind of ['rumour', 'brigade', 'sybil'] as const) {
      sum.distractions[kind].raised += distractions[kind].raised
      sum.distractions[kind].total += distractions[kind].total
    }
  }
  return sum
}

export function figuresOf ({ outcomes, falseAlarms, months, distractions }: Tally): Figures {
  const delays = outcomes.flatMap(({ delayMin }) => delayMin ?? [])
  const within = (minutes: number): number => delays.filter(delay => delay <= minutes).length / outcomes.length
  const { rumour, brigade, sybil } = distractions
  return {
    outages: outcomes.length,
    falseAlarmsPerMonth: falseAlarms / months,
    within: { 5: within(5), 10: within(10), 30: within(30) },
    detected: delays.length / outcomes.length,
    medianDelayMin: median(delays),
    meanDelayMin: mean(outcomes.map(({ delayMin }) => Math.min(delayMin ?? DELAY_MAX_MIN, DELAY_MAX_MIN))),
    rightScope: mean(outcomes.flatMap(({ rightScope }) => rightScope === null ? [] : Number(rightScope))),
    onsetErrorMin: median(outcomes.flatMap(({ onsetErrorMin }) => onsetErrorMin ?? [])),
    onsetCovered: mean(outcomes.flatMap(({ onsetCovered }) => onsetCovered === null ? [] : Number(onsetCovered))),
    rumours: rumour.raised / rumour.total,
    fakes: (brigade.raised + sybil.raised) / (brigade.total + sybil.total)
  }
}

/** Standard error of a share of `count`. */
export function shareError (share: number, count: number): number {
  return Math.sqrt(share * (1 - share) / count)
}

/** Standard error of a rate a month, taken as Poisson with at least one event. */
export function rateError ({ falseAlarms, months }: Tally): number {
  return Math.sqrt(Math.max(1, falseAlarms)) / months
}

function mean (values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** The middle value, or the mean of the two; NaN of none. */
export function median (values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
}
