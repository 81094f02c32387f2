// Which scopes there are, how each stands, and which of them an alarm is about.
// Not here: what a scope remembers of its past (baseline) and its evidence (charts).
import { newBaseline, rememberedReports, type Baseline, type HourModel } from './baseline.ts'
import { bestChart, countedValue, emptyCharts, type Chart, type Weights, weightsFor } from './charts.ts'
import { ALL, countryOf, scopeKey, type Scope } from './vocabulary.ts'

/** One service's closed window in one cell of region × device class: distinct reporters. */
export interface SeenCell { region: string, deviceClass: string, working: number, degraded: number, down: number }

/**
 * The kinds of scopes in their order: each has its own number of scopes in penalty and prior, and ties go to the earlier.
 * A country includes its subdivisions.
 */
export const SCOPE_KINDS = ['all', 'country', 'subdivision', 'device-class', 'country-cell', 'subdivision-cell'] as const
export type ScopeKind = typeof SCOPE_KINDS[number]

/** Scopes of one service; what speaks for the first time later counts in its parents only. */
export const SCOPES_MAX = 400

/** One scope and all that is remembered of it. */
export interface ScopeState {
  kind: ScopeKind
  scope: Scope
  key: string
  baseline: Baseline
  /** The prediction for the running hour, and what follows from its φ. */
  model: HourModel
  weights: Weights
  charts: Chart[]
  /** y and w of the last watched windows: rings, in which a window has the place of its number (`DetectorState.windows`). */
  recentY: number[]
  recentW: number[]
  /** Start (ms) of a run that too few networks stood behind, while nobody has said since that it fails: nor do they now. */
  withheldSince: number | null
}

/** What brings this share of all reports is everything. */
const WHOLE_SHARE = 0.99
/** Watched windows that are read again to say when it began. */
export const RECENT_WINDOWS = 240
/** Watched windows whose working reports are remembered, to say who is affected: a quarter of an hour of minutes. */
export const RECENT_WORKING = 15

/** y = down + degraded/2 and w = working + degraded/2 of one scope in one window. */
export interface Total { kind: ScopeKind, scope: Scope, key: string, y: number, w: number }

/** The scopes a cell counts in, one of each kind at most. */
function scopesOf ({ region, deviceClass }: SeenCell): { kind: ScopeKind, scope: Scope }[] {
  const country = countryOf(region)
  const scopes: { kind: ScopeKind, scope: Scope }[] = [
    { kind: 'all', scope: { region: ALL, deviceClass: ALL } },
    { kind: 'country', scope: { region: country, deviceClass: ALL } },
    { kind: 'device-class', scope: { region: ALL, deviceClass } },
    { kind: 'country-cell', scope: { region: country, deviceClass } }
  ]
  if (region !== country) {
    scopes.push({ kind: 'subdivision', scope: { region, deviceClass: ALL } }, { kind: 'subdivision-cell', scope: { region, deviceClass } })
  }
  return scopes
}

/** Sums the cells of a window into the scopes that spoke in it, by `scopeKey`. */
export function sumCells (cells: readonly SeenCell[]): Map<string, Total> {
  const totals = new Map<string, Total>()
  for (const cell of cells) {
    const y = cell.down + cell.degraded / 2
    const w = cell.working + cell.degraded / 2
    if (y + w === 0) continue
    for (const { kind, scope } of scopesOf(cell)) {
      const key = scopeKey(scope)
      const total = totals.get(key)
      if (total === undefined) {
        totals.set(key, { kind, scope, key, y, w })
      } else {
        total.y += y
        total.w += w
      }
    }
  }
  return totals
}

/** The one order of scopes: by kind, then by region and device class, by code unit. */
export function compareScopes (a: { kind: ScopeKind, scope: Scope }, b: { kind: ScopeKind, scope: Scope }): number {
  return SCOPE_KINDS.indexOf(a.kind) - SCOPE_KINDS.indexOf(b.kind) ||
    compareText(a.scope.region, b.scope.region) || compareText(a.scope.deviceClass, b.scope.deviceClass)
}

function compareText (a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** A scope that speaks for the first time, in an hour of the UTC day, in a window that starts at `start` (ms). */
export function newScope (kind: ScopeKind, scope: Scope, modelOf: (baseline: Baseline) => HourModel, hourOfDay: number, start: number): ScopeState {
  const baseline = newBaseline(hourOfDay)
  const model = modelOf(baseline)
  return {
    kind,
    scope,
    key: scopeKey(scope),
    baseline,
    model,
    weights: weightsFor(model.phi),
    charts: emptyCharts(start),
    recentY: Array<number>(RECENT_WINDOWS).fill(0),
    recentW: Array<number>(RECENT_WORKING).fill(0),
    withheldSince: null
  }
}

/** What a scope says in one window: its best chart (-1: none may speak) and its score, nats above its penalty, at least 0. */
export interface Standing { state: ScopeState, chart: number, score: number }

/** How a scope stands; `penalty` (nats) is what its kind and the service's rate take off for luck. */
export function standingOf (state: ScopeState, penalty: number): Standing {
  const chart = bestChart(state.charts, state.model)
  const score = chart < 0 ? 0 : Math.max(0, countedValue(state.charts, chart, state.model) - penalty)
  return { state, chart, score }
}

/**
 * Whether a region or device class is practically the whole service: to name it would say nothing, and chance would
 * choose between the two.
 */
export function isWhole (baseline: Baseline, whole: Baseline): boolean {
  return rememberedReports(baseline) >= WHOLE_SHARE * rememberedReports(whole)
}

/**
 * Whom an alarm is about: among the scopes that score above `scoreMin` the one whose run departs most from what was
 * expected, by the Poisson scan statistic (Kulldorff 1997) over φ, less ln of how many scopes its kind has; without
 * any, the largest score. `standings` in scope order: a tie goes to the earlier.
 */
export function mostLikely (standings: readonly Standing[], scoreMin: number, lnCountOf: (kind: ScopeKind) => number): Standing | null {
  let best: Standing | null = null
  let most = -Infinity
  for (const standing of standings) {
    if (standing.chart < 0 || standing.score <= scoreMin) continue
    const { y, m } = standing.state.charts[standing.chart]!
    const departure = y > m ? (y * Math.log(y / m) - (y - m)) / standing.state.model.phi : 0
    const value = departure - lnCountOf(standing.state.kind)
    if (value > most) {
      best = standing
      most = value
    }
  }
  if (best !== null) return best
  for (const standing of standings) {
    if (standing.score > (best?.score ?? 0)) best = standing
  }
  return best
}
