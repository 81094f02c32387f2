// One service's windows in, outages out: a function of what was seen, in order, and of nothing else.
// Not here: the arithmetic of baselines, charts, scopes and the lifecycle, each in its own file.
import { closeHour, knowsShares, positionOf, predictHour, readTriple, recordWindow, reviveBaseline, type HourExpectation } from './baseline.ts'
import { pushCharts, resetChart, suspicionOf, weightsFor, type Seen } from './charts.ts'
import { openByWord, step, SUSPECTED_AT, type OpenOutage, type OutageFigures, type Transition } from './outages.ts'
import {
  compareScopes, isWhole, mostLikely, newScope, RECENT_WINDOWS, RECENT_WORKING, SCOPE_KINDS, SCOPES_MAX, standingOf, sumCells,
  type ScopeKind, type ScopeState, type SeenCell, type Standing, type Total
} from './scan.ts'
import { floorTo, HOUR_MS, MINUTE_MS } from './time.ts'
import { ALL, type RulingType, type Scope } from './vocabulary.ts'

export type { HourExpectation, ScopeExpectation } from './baseline.ts'
export type { Estimate, OutageFigures, Reading, Transition } from './outages.ts'
export type { SeenCell } from './scan.ts'

/** One service's closed window as the detector sees it: only cells with any report; none = zeros. */
export interface SeenWindow {
  /** Start, ms since the epoch. */
  start: number
  /** False: a gap. Nobody could take reports, so nothing is known, and `cells` is ignored. */
  watched: boolean
  cells: readonly SeenCell[]
}

/** Everything the detector remembers of one service: plain JSON, so that JSON.parse(JSON.stringify(s)) is s. */
export interface DetectorState {
  /** Of this interface; another one is folded anew instead of read. */
  format: number
  stepMin: number
  /** Set by `expectPerHour`; it counts from the next hour. */
  expectedPerHour: number
  expectedThisHour: number
  /** Starts of the running hour, or of the next one when that was begun ahead, and of the last window, ms; null before the first. */
  hour: number | null
  at: number | null
  /** Whether the last window was watched. */
  watched: boolean
  /** How many windows were watched, and the starts (ms) of the last `RECENT_WINDOWS` of them: a ring, as in every scope. */
  windows: number
  recentAt: number[]
  /** How many scopes of each kind had spoken at the hour's start, at least 1. */
  kindCounts: Record<ScopeKind, number>
  /** In the one order of scopes; `all` is the first and always there. */
  scopes: ScopeState[]
  outage: OpenOutage | null
}

/** A scope whose score would cross a threshold now: an alarm still needs the networks of its run, `[since, until)`, ms. */
export interface Claim { scope: Scope, score: number, since: number, until: number }

/** A moderator's word. `at`: the start (ms) of the window before which it counts; the other two are of `open` alone. */
export interface Ruling { type: RulingType, at: number, scope: Scope | null, onsetAt: number | null }

/** `outage` null: none is open and none closed in this window. */
export interface Decision { transitions: Transition[], outage: OutageFigures | null }

/** Format of `DetectorState`. */
export const STATE_FORMAT = 3
/** An alarm needs reports of this many networks in the run of its chart: whoever knows them withholds the claims of fewer. */
export const NETWORKS_MIN = 7
/** Evidence, nats less ln(number of scopes), from which on an hour is not learnt. No rate term: with it sparse services learnt nothing. */
const SUSPICIOUS_AT = 5
/** A scope with less than this share of the alarm's threshold is not what the alarm is about. */
const CANDIDATE_SHARE = 0.4

/** A service not yet watched. `stepMin`: the window's width in minutes; `expectedPerHour`: of down reports, in all. */
export function newDetector (expectedPerHour: number, stepMin: number): DetectorState {
  return {
    format: STATE_FORMAT,
    stepMin,
    expectedPerHour,
    expectedThisHour: expectedPerHour,
    hour: null,
    at: null,
    watched: false,
    windows: 0,
    recentAt: [],
    kindCounts: { all: 1, country: 1, subdivision: 1, 'device-class': 1, 'country-cell': 1, 'subdivision-cell': 1 },
    scopes: [],
    outage: null
  }
}

/**
 * A state as it was stored, which it may change in place. One of an earlier format keeps its expectation and its open
 * outage; what it had learnt must be folded anew (`outdated`).
 */
export function reviveState (stored: DetectorState): { state: DetectorState, outdated: boolean } {
  if (stored.format === STATE_FORMAT) {
    for (const scope of stored.scopes) scope.baseline = reviveBaseline(scope.baseline)
    return { state: stored, outdated: false }
  }
  const { outage } = stored
  const state = newDetector(stored.expectedPerHour, stored.stepMin)
  state.outage = outage === null ? null : { ...outage, silentMin: outage.silentMin ?? 0, figures: { ...outage.figures, affectedShare: outage.figures.affectedShare ?? null } }
  return { state, outdated: true }
}

/**
 * Learns what is due, predicts, and moves the charts by the next window; `decide` follows. Changes `state` in place:
 * copies would cost a year's replay its speed. Windows ascend without overlap; a hole is fed as gap windows.
 * `expectation` is not null at each hour's first window, unless `beginHour` told it, and when a scope was born: the hour's as of now.
 */
export function advance (state: DetectorState, window: SeenWindow): { claims: Claim[], expectation: HourExpectation | null } {
  const stepMs = state.stepMin * MINUTE_MS
  if (state.at !== null && window.start < state.at + stepMs) {
    throw new Error(`windows must ascend: ${window.start} follows ${state.at}`)
  }
  const hour = floorTo(window.start, HOUR_MS)
  let fresh = hour !== state.hour
  if (fresh) turnHour(state, hour, window.start)
  state.at = window.start
  state.watched = window.watched
  if (!window.watched) {
    // A gap moves nothing; only the next difference counts as none.
    for (const { baseline } of state.scopes) baseline.lastY = null
    return { claims: [], expectation: fresh ? expectationOf(state, hour) : null }
  }
  state.recentAt[state.windows % RECENT_WINDOWS] = window.start
  const totals = sumCells(window.cells)
  fresh = bearScopes(state, totals) || fresh
  for (const scope of state.scopes) observe(state, scope, totals.get(scope.key))
  state.windows += 1
  const claims = standings(state).filter(standing => standing.score >= SUSPECTED_AT && !isWithheld(standing)).map(({ state: { scope, charts }, chart, score }) =>
    ({ scope, score, since: charts[chart]!.start, until: window.start + stepMs }))
  return { claims, expectation: fresh ? expectationOf(state, hour) : null }
}

/**
 * Begins the hour after the last window, when that one ends an hour, ahead of its first window: most of what an hour's
 * first minute costs, at a time when nobody waits. Whoever never calls it comes to the same states a window later. In place.
 * @returns what is expected in that hour; null when none begins, or it has begun.
 */
export function beginHour (state: DetectorState): HourExpectation | null {
  const next = state.at === null ? null : state.at + state.stepMin * MINUTE_MS
  if (next === null || next === state.hour || next % HOUR_MS !== 0) return null
  turnHour(state, next, next)
  return expectationOf(state, next)
}

/**
 * Says how many down reports an hour are expected in all, before anything is known: from the next hour on, which may have
 * been begun ahead. In place.
 * @returns what is expected in that hour then; null when it has not begun.
 */
export function expectPerHour (state: DetectorState, expectedPerHour: number): HourExpectation | null {
  state.expectedPerHour = expectedPerHour
  const { at, hour } = state
  if (at === null || hour === null || at >= hour) return null
  predict(state)
  return expectationOf(state, hour)
}

/**
 * Marks suspicious hours, says whom an alarm is about and moves the lifecycle, after `advance`. `withheld` are the
 * scopes (`scopeKey`) whose claim had too few networks: they have no score, but are no less suspicious, and make no claim
 * again until somebody more says that it fails or an earlier run would be asked for. In place.
 */
export function decide (state: DetectorState, withheld: ReadonlySet<string>): Decision {
  if (!state.watched || state.at === null || state.hour === null) {
    return { transitions: [], outage: state.outage?.figures ?? null }
  }
  for (const { kind, baseline, charts, model } of state.scopes) {
    if (suspicionOf(charts, model) - lnCount(state, kind) >= SUSPICIOUS_AT) baseline.open.suspicious = true
  }
  const standing = standings(state)
  for (const { state: scope, chart } of standing) {
    if (withheld.has(scope.key)) scope.withheldSince = scope.charts[chart]!.start
  }
  const heard = standing.filter(each => !withheld.has(each.state.key) && !isWithheld(each))
  const score = heard.reduce((most, standing) => Math.max(most, standing.score), 0)
  const leader = score < SUSPECTED_AT ? null : mostLikely(heard, CANDIDATE_SHARE * SUSPECTED_AT, kind => lnCount(state, kind))
  const own = state.outage === null ? null : standingIn(state, state.outage.key)
  const { at, hour, stepMin, windows, recentAt } = state
  const { open, transitions, closed } = step(state.outage, own, { start: at, hour, stepMin, windows, recentAt, score, leader })
  state.outage = open
  if (closed !== null) resetCharts(state, at + stepMin * MINUTE_MS)
  return { transitions, outage: closed ?? open?.figures ?? null }
}

/**
 * Obeys a moderator's word, before the window that it precedes is advanced: an input like the windows, so that judging
 * again says the same. One that no longer applies, since the reports it was about are judged otherwise now, changes
 * nothing but that a dismissal and a resolution always spend the evidence. In place.
 * @returns the outage that it is about, as it stands after it; null when there is none.
 */
export function rule (state: DetectorState, { type, at, scope, onsetAt }: Ruling): OutageFigures | null {
  const figures = state.outage?.figures ?? null
  if (type === 'open') {
    if (figures !== null || scope === null) return null
    state.outage = openByWord(scope, onsetAt ?? at, at)
    return state.outage.figures
  }
  if (type === 'confirm') {
    if (state.outage === null || figures?.state !== 'suspected') return null
    state.outage = { ...state.outage, figures: { ...figures, state: 'confirmed', confirmedAt: at } }
    return state.outage.figures
  }
  state.outage = null
  resetCharts(state, at)
  if (figures === null) return null
  return type === 'resolve' ? { ...figures, state: 'resolved', resolvedAt: at } : { ...figures, state: 'dismissed', dismissedAt: at }
}

/**
 * The learnt part of `state` with the lifecycle (open outage) of `said`: after history was re-judged, what was said
 * live stays said. Returns a new state.
 */
export function keepLifecycle (state: DetectorState, said: DetectorState): DetectorState {
  return structuredClone({ ...state, outage: said.outage })
}

/** A new hour: learns, counts the scopes, predicts. */
function turnHour (state: DetectorState, hour: number, start: number): void {
  const hourOfDay = hour / HOUR_MS % 24
  const all = state.scopes[0]
  // Read before `all` is itself closed: the flags are of the same two hours for every scope.
  const suspicious = all !== undefined && (all.baseline.open.suspicious || all.baseline.pending?.suspicious === true)
  for (const { baseline, model } of state.scopes) closeHour(baseline, model.phi, suspicious, hourOfDay)
  for (const kind of SCOPE_KINDS) state.kindCounts[kind] = 0
  for (const { kind } of state.scopes) state.kindCounts[kind] += 1
  for (const kind of SCOPE_KINDS) state.kindCounts[kind] = Math.max(1, state.kindCounts[kind])
  state.hour = hour
  predict(state)
  if (all === undefined) {
    const scope = { region: ALL, deviceClass: ALL }
    state.scopes.push(newScope('all', scope, baseline => modelOf(state, 'all', baseline), hourOfDay, start))
  }
}

function predict (state: DetectorState): void {
  state.expectedThisHour = state.expectedPerHour
  for (const scope of state.scopes) {
    scope.model = modelOf(state, scope.kind, scope.baseline)
    scope.weights = weightsFor(scope.model.phi)
  }
}

function modelOf (state: DetectorState, kind: ScopeKind, baseline: ScopeState['baseline']): ScopeState['model'] {
  const service = kind === 'all' ? undefined : state.scopes[0]!.model
  return predictHour(baseline, baseline.open.hourOfDay, state.expectedThisHour / state.kindCounts[kind], service)
}

/** Scopes that speak for the first time, in their order. True when there were any. */
function bearScopes (state: DetectorState, totals: ReadonlyMap<string, Total>): boolean {
  const room = SCOPES_MAX - state.scopes.length
  let known = 0
  for (const { key } of state.scopes) if (totals.has(key)) known += 1
  if (known === totals.size || room <= 0) return false
  const keys = new Set(state.scopes.map(({ key }) => key))
  const born = [...totals.values()].filter(({ key }) => !keys.has(key)).sort(compareScopes).slice(0, room)
  for (const { kind, scope } of born) {
    state.scopes.push(newScope(kind, scope, baseline => modelOf(state, kind, baseline), state.hour! / HOUR_MS % 24, state.at!))
  }
  state.scopes.sort(compareScopes)
  return true
}

/** One watched window of one scope: into the open hour and onto the charts. */
function observe (state: DetectorState, scope: ScopeState, total: Total | undefined): void {
  const { stepMin, windows } = state
  const { model, baseline } = scope
  const at = state.at!
  const position = positionOf(at, stepMin, state.hour!)
  const seen: Seen = {
    y: total?.y ?? 0,
    w: total?.w ?? 0,
    m: stepMin * readTriple(model.m, position),
    upper: stepMin * readTriple(model.upper, position),
    mw: stepMin * readTriple(model.w, position),
    shareUpper: stepMin * readTriple(model.shareUpper, position)
  }
  if (seen.y > 0) scope.withheldSince = null
  recordWindow(baseline, model, seen, stepMin)
  pushCharts(scope.charts, scope.weights, seen, model.phi, knowsShares(baseline), at + stepMin * MINUTE_MS)
  scope.recentY[windows % RECENT_WINDOWS] = seen.y
  scope.recentW[windows % RECENT_WORKING] = seen.w
}

/** ln of how many scopes of a kind there are: a union bound over them, nats. */
function lnCount (state: DetectorState, kind: ScopeKind): number {
  return Math.log(state.kindCounts[kind])
}

/** Half the logarithm of the service's daily mean: more reports, more alarms by luck (without it 0.2 a month at 0.01/min, 2 at 20). */
function ratePenalty (state: DetectorState): number {
  return Math.log(Math.min(Math.max(state.scopes[0]!.model.dailyMean, 0.01), 10)) / 2
}

/** How every scope stands that says something, in scope order; without those that a broader one stands for. */
function standings (state: DetectorState): Standing[] {
  const rate = ratePenalty(state)
  const speaking = state.scopes.map(scope => standingOf(scope, lnCount(state, scope.kind) + rate)).filter(({ score }) => score > 0)
  // What could neither be an alarm nor be what one is about need not be told apart.
  if (speaking.every(({ state: { kind }, score }) => kind === 'all' || score < CANDIDATE_SHARE * SUSPECTED_AT)) return speaking
  const all = state.scopes[0]!.baseline
  const whole = new Set(state.scopes.flatMap(({ kind, scope, baseline }) => kind === 'all' || !isWhole(baseline, all)
    ? []
    : [...scope.region === ALL ? [] : [scope.region], ...scope.deviceClass === ALL ? [] : [scope.deviceClass]]))
  return speaking.filter(({ state: { scope } }) => !whole.has(scope.region) && !whole.has(scope.deviceClass))
}

/** Whether its alarm is known to have too few networks: a run has no more of them than a longer one had, unless someone new reports. */
function isWithheld ({ state: { withheldSince, charts }, chart, score }: Standing): boolean {
  return score >= SUSPECTED_AT && withheldSince !== null && charts[chart]!.start >= withheldSince
}

/** How the scope of that key stands; the whole service, if a re-judged state does not know it. */
function standingIn (state: DetectorState, key: string): Standing {
  const scope = state.scopes.find(scope => scope.key === key) ?? state.scopes[0]!
  return standingOf(scope, lnCount(state, scope.kind) + ratePenalty(state))
}

/** After an outage closed all evidence is spent, or the same reports would alarm again; runs begin anew at `next` (ms). */
function resetCharts ({ scopes }: DetectorState, next: number): void {
  for (const { charts } of scopes) {
    for (const chart of charts) resetChart(chart, next)
  }
}

/** What is expected in the running hour, as it was told last; null before the first window. */
export function runningExpectation (state: DetectorState): HourExpectation | null {
  return state.hour === null ? null : expectationOf(state, state.hour)
}

function expectationOf (state: DetectorState, hour: number): HourExpectation {
  const scopes: HourExpectation['scopes'] = {}
  for (const { key, model: { m, upper, phi } } of state.scopes) scopes[key] = { m, upper, phi }
  return { hour, learntHours: state.scopes[0]!.baseline.learntHours, scopes }
}
