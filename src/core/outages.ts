// The life of an outage: suspected → confirmed ⇄ recovering → resolved, or dismissed; its onset, peak and words.
// Not here: the evidence (charts, detector) and whom it is about (scan).
import { positionOf, readTriple, upperCount } from './baseline.ts'
import { chartName, expectedCost, isShareChart, reportGain } from './charts.ts'
import { RECENT_WINDOWS, RECENT_WORKING, type ScopeState, type Standing } from './scan.ts'
import { MINUTE_MS } from './time.ts'
import { scopeKey, type OutageState, type Scope, type TransitionType } from './vocabulary.ts'

/** Scores, nats, at which simulated services have fewer than one false alarm a month and than one in three (`bench/detection`). */
export const SUSPECTED_AT = 8.5
export const CONFIRMED_AT = 10.2
/**
 * Evidence, nats, that half of the peak's excess has gone: recovering above the first, rising again below the second
 * (one bound for both gave two changes to and fro in each simulated outage), over from the third on.
 */
const RECOVERING_ABOVE = 3
const RISING_BELOW = 1
const OVER_AT = 9
/** Nor is it over while the last quarter of an hour brought more than this many times m⁺: half of a high peak is still high. */
const OVER_RATIO_MAX = 2
/**
 * Where hardly anything is usual, a silent minute takes away next to nothing, yet nobody calls it an outage when for six
 * watched hours nobody said so: silence since the last report says at least its part of that.
 */
const SILENT_MAX_MIN = 6 * 60
/** A peak beyond this says no more about when it is over. */
const PEAK_MAX = 100
const PEAK_MEMORY_MIN = 15
/** Who is affected is told of the last quarter of an hour. */
const AFFECTED_MIN = 15
/** Standard normal quantile of a 95% interval. */
const Z = 1.959964
/** The onset's interval: all starts whose log-likelihood is within this many nats of the best. */
const ONSET_WITHIN = 6

/** Why: the scope's reading in the window. Counts are of the run (from `since` to the window's end), y = down + degraded/2. */
export interface Reading { down: number, expected: number, bound: number, score: number, chart: string, since: number }

/**
 * A step of the lifecycle. `at`: the window's end, ms; `state`: after it; `again`: reports rose again after a recovery
 * had begun; `share`: of `down` among all reports, if it was the share that stood out.
 */
export interface Transition {
  type: TransitionType
  state: OutageState
  at: number
  scope: Scope
  reading: Reading
  again: boolean
  share: { seen: number, expected: number } | null
}

/** An estimate with its 95% interval, each from 0 to 1. */
export interface Estimate { estimate: number, low: number, high: number }

/** The open outage as it stands after a window (or as it closed); instants in ms. */
export interface OutageFigures {
  state: OutageState
  scope: Scope
  onsetAt: number
  onsetFrom: number
  onsetTo: number
  detectedAt: number
  confirmedAt: number | null
  /** Of the recovery under way or completed; null again when reports rise again. */
  recoveringAt: number | null
  resolvedAt: number | null
  dismissedAt: number | null
  /** The largest ratio of reports to m⁺ over about 15 minutes since it is about its scope, 1 to 100. */
  severity: number
  /** The window with the most reports of the outage's scope since the alarm. */
  peak: { start: number, down: number, expected: number }
  /**
   * Of all who would report, the part for whom it began to fail, in the last quarter of an hour; as it was when reports
   * began to fall back. Null where nobody ever says that it works.
   */
  affectedShare: Estimate | null
}

/** An open outage and what decides when it is over; plain JSON. */
export interface OpenOutage {
  figures: OutageFigures
  key: string
  /** Evidence that half of the peak's excess has gone, nats. */
  calm: number
  /** Watched minutes since anybody of its scope last said that it fails. */
  silentMin: number
  /** 15-minute exponential sums of y and m⁺ since it is about its scope. */
  sumY: number
  sumUpper: number
}

/** One watched window as the lifecycle sees it. */
export interface Judged {
  start: number
  hour: number
  stepMin: number
  /** How many windows were watched until now, and when the last of them began: as in `DetectorState`. */
  windows: number
  recentAt: readonly number[]
  /** The largest score of the service. */
  score: number
  /** Whom an alarm would be about. */
  leader: Standing | null
}

export interface Step { open: OpenOutage | null, transitions: Transition[], closed: OutageFigures | null }

/**
 * The lifecycle's step for one watched window. `own` is how the open outage's scope stands; none open: null.
 * A lifecycle never skips a state: a single wide window may suspect and confirm, or recover and resolve, at once.
 */
export function step (open: OpenOutage | null, own: Standing | null, judged: Judged): Step {
  if (open === null || own === null) {
    if (judged.score < SUSPECTED_AT || judged.leader === null) return { open: null, transitions: [], closed: null }
    return raise(judged.leader, judged)
  }
  const next = track(open, own.state, judged)
  const { figures } = next
  const transitions: Transition[] = []
  const enter = (type: TransitionType, standing: Standing): void => {
    transitions.push(transitionOf(type, figures, standing, judged))
  }
  const end = endOf(judged)
  if (figures.state === 'suspected' && judged.score >= CONFIRMED_AT && !isOver(next)) {
    figures.state = 'confirmed'
    figures.confirmedAt = end
    enter('confirmed', own)
  }
  if (figures.state === 'confirmed' && next.calm > RECOVERING_ABOVE) {
    figures.state = 'recovering'
    figures.recoveringAt = end
    enter('recovering', own)
  } else if (figures.state === 'recovering' && next.calm < RISING_BELOW) {
    figures.state = 'confirmed'
    figures.recoveringAt = null
    enter('confirmed', own)
  }
  if (isOver(next)) {
    const confirmed = figures.confirmedAt !== null
    figures.state = confirmed ? 'resolved' : 'dismissed'
    if (confirmed) figures.resolvedAt = end
    else figures.dismissedAt = end
    enter(figures.state, own)
    return { open: null, transitions, closed: figures }
  }
  const { leader } = judged
  if (next.calm < 1 && judged.score >= SUSPECTED_AT && leader !== null && leader.state.key !== next.key) {
    const moved = move(next, leader, judged)
    transitions.push(transitionOf('moved', moved.figures, leader, judged))
    return { open: moved, transitions, closed: null }
  }
  return { open: next, transitions, closed: null }
}

/** An outage that a moderator opens at `at` (ms), confirmed by that word: reports decide when it is over. */
export function openByWord (scope: Scope, onsetAt: number, at: number): OpenOutage {
  const decidedAt = Math.max(at, onsetAt)
  const figures = blankFigures(scope, { onsetAt, onsetFrom: onsetAt, onsetTo: onsetAt }, decidedAt, at)
  return blankOutage(scope, { ...figures, state: 'confirmed', confirmedAt: decidedAt, peak: { start: at, down: 0, expected: 0 } })
}

function isOver ({ calm, sumY, sumUpper }: OpenOutage): boolean {
  return calm >= OVER_AT && sumY <= OVER_RATIO_MAX * sumUpper
}

function raise (leader: Standing, judged: Judged): Step {
  const end = endOf(judged)
  const blank = blankOutage(leader.state.scope, blankFigures(leader.state.scope, onsetOf(leader, judged), end, judged.start))
  const open = track(blank, leader.state, judged)
  const transitions = [transitionOf('suspected', open.figures, leader, judged)]
  if (judged.score >= CONFIRMED_AT) {
    open.figures.state = 'confirmed'
    open.figures.confirmedAt = end
    transitions.push(transitionOf('confirmed', open.figures, leader, judged))
  }
  return { open, transitions, closed: null }
}

type Onset = Pick<OutageFigures, 'onsetAt' | 'onsetFrom' | 'onsetTo'>

/** A suspected outage of which no window was counted yet. */
function blankFigures (scope: Scope, onset: Onset, detectedAt: number, peakStart: number): OutageFigures {
  return {
    state: 'suspected',
    scope,
    ...onset,
    detectedAt,
    confirmedAt: null,
    recoveringAt: null,
    resolvedAt: null,
    dismissedAt: null,
    severity: 1,
    peak: { start: peakStart, down: -1, expected: 0 },
    affectedShare: null
  }
}

function blankOutage (scope: Scope, figures: OutageFigures): OpenOutage {
  return { figures, key: scopeKey(scope), calm: 0, silentMin: 0, sumY: 0, sumUpper: 0 }
}

/** The same outage about another scope: peak and calm are the new scope's; the onset only ever moves back. */
function move (open: OpenOutage, leader: Standing, judged: Judged): OpenOutage {
  const onset = onsetOf(leader, judged)
  const figures: OutageFigures = {
    ...open.figures,
    ...(onset.onsetAt < open.figures.onsetAt ? onset : {}),
    scope: leader.state.scope,
    severity: 1,
    peak: { start: judged.start, down: -1, expected: 0 }
  }
  return track(blankOutage(figures.scope, figures), leader.state, judged)
}

/** Adds a window to the outage's peak and to the evidence that it is over. A new object; `open` stays as it is. */
function track (open: OpenOutage, state: ScopeState, judged: Judged): OpenOutage {
  const { y, m, upper, share } = windowOf(state, judged)
  const decay = Math.exp(-judged.stepMin / PEAK_MEMORY_MIN)
  const sumY = open.sumY * decay + y
  const sumUpper = open.sumUpper * decay + upper
  const severity = Math.min(PEAK_MAX, Math.max(open.figures.severity, sumY / sumUpper))
  const q = Math.max(1.5, 1 + (severity - 1) / 2)
  const { phi } = state.model
  const silentMin = y > 0 ? 0 : open.silentMin + judged.stepMin
  const evidence = open.calm - (reportGain(q, phi) * y - expectedCost(q, phi) * upper)
  const calm = Math.max(0, evidence, OVER_AT * silentMin / SILENT_MAX_MIN)
  const peak = y > open.figures.peak.down ? { start: judged.start, down: y, expected: m } : open.figures.peak
  const affectedShare = open.figures.state === 'recovering' ? open.figures.affectedShare : affectedShareOf(state, share, judged)
  return { figures: { ...open.figures, severity, peak, affectedShare }, key: open.key, calm, silentMin, sumY, sumUpper }
}

/** y, m, m⁺ and the expected share of `down` of the scope in this window, which is the last one that its baseline recorded. */
function windowOf ({ baseline, model }: ScopeState, { start, stepMin, hour }: Judged): { y: number, m: number, upper: number, share: number } {
  const position = positionOf(start, stepMin, hour)
  const m = stepMin * readTriple(model.m, position)
  return {
    y: baseline.lastY ?? 0,
    m,
    upper: stepMin * readTriple(model.upper, position),
    share: m / (m + stepMin * readTriple(model.w, position))
  }
}

/**
 * The share s of `down` in the last quarter of an hour, less what is usual: (s − p₀)/(1 − p₀); its interval is Wilson's
 * (1927, JASA 22:209) for n/φ reports, mapped likewise.
 */
function affectedShareOf (state: ScopeState, usual: number, { start, stepMin, windows, recentAt }: Judged): Estimate | null {
  const since = start + stepMin * MINUTE_MS - Math.max(AFFECTED_MIN, stepMin) * MINUTE_MS
  let y = 0
  let w = 0
  for (let back = 1; back <= Math.min(windows, RECENT_WORKING) && recentAt[(windows - back) % RECENT_WINDOWS]! >= since; back++) {
    y += state.recentY[(windows - back) % RECENT_WINDOWS]!
    w += state.recentW[(windows - back) % RECENT_WORKING]!
  }
  const { binW, pending, open } = state.baseline
  if (y + w === 0 || !(open.w > 0 || (pending?.w ?? 0) > 0 || binW.some(count => count > 0))) return null
  const n = (y + w) / state.model.phi
  const s = y / (y + w)
  const centre = (s + Z ** 2 / (2 * n)) / (1 + Z ** 2 / n)
  const half = Z / (1 + Z ** 2 / n) * Math.sqrt(s * (1 - s) / n + Z ** 2 / (4 * n ** 2))
  const map = (share: number): number => Math.min(1, Math.max(0, (share - usual) / (1 - usual)))
  return { estimate: map(s), low: map(centre - half), high: map(centre + half) }
}

function endOf ({ start, stepMin }: Judged): number {
  return start + stepMin * MINUTE_MS
}

/**
 * When it began: the start of the run of the scope's best chart (Page 1954), and as an interval every start whose
 * likelihood is within 6 nats of the best, for a rise by the run's own ratio over the day's mean. In simulation the
 * interval held 84% of the true onsets, sudden and slow ones (3 nats: 75%).
 */
function onsetOf ({ state, chart }: Standing, judged: Judged): Onset {
  const run = state.charts[chart]!
  const onset = { onsetAt: run.start, onsetFrom: run.start, onsetTo: run.start }
  const q = run.y / run.m
  if (!(q > 1)) return onset
  const cost = judged.stepMin * state.model.dailyMean * (q - 1)
  const starts: { at: number, sum: number }[] = []
  let sum = 0
  let best = -Infinity
  for (let back = 1; back <= Math.min(judged.windows, RECENT_WINDOWS); back++) {
    const place = (judged.windows - back) % RECENT_WINDOWS
    sum += (state.recentY[place]! * Math.log(q) - cost) / state.model.phi
    starts.push({ at: judged.recentAt[place]!, sum })
    best = Math.max(best, sum)
  }
  for (const { at, sum } of starts) {
    if (sum < best - ONSET_WITHIN) continue
    onset.onsetFrom = Math.min(onset.onsetFrom, at)
    onset.onsetTo = Math.max(onset.onsetTo, at)
  }
  return onset
}

/** The reading of a scope: of its best chart's run, or of this window alone when there is no run. */
function readingOf ({ state, chart, score }: Standing, judged: Judged): Reading {
  const { phi } = state.model
  const run = state.charts[chart]
  if (run === undefined) {
    const { y, m, upper } = windowOf(state, judged)
    return { down: y, expected: m, bound: upperCount(upper, phi), score, chart: chartName(0), since: judged.start }
  }
  return { down: run.y, expected: run.m, bound: upperCount(run.upper, phi), score, chart: chartName(chart), since: run.start }
}

function transitionOf (type: TransitionType, figures: OutageFigures, standing: Standing, judged: Judged): Transition {
  const run = standing.state.charts[standing.chart]
  return {
    type,
    state: figures.state,
    at: endOf(judged),
    scope: figures.scope,
    reading: readingOf(standing, judged),
    again: type === 'confirmed' && figures.confirmedAt !== endOf(judged),
    share: run === undefined || !isShareChart(standing.chart) ? null : { seen: run.y / (run.y + run.w), expected: run.m / (run.m + run.mw) }
  }
}
