// The charts of one scope: CUSUMs (Page 1954) of likelihood ratios, and how much of their evidence counts.
// Not here: what is usual (baseline) and what a score leads to (scan, outages).

/** By which factors the mean of down reports may rise: one count chart for each. */
export const RATIOS = [1.5, 3, 10, 100] as const
/** By which factors the odds of `down` among all reports may rise: one share chart for each, after the count charts. */
export const ODDS = [2, 5, 20] as const
/** Fewer reports than this in a run are no alarm, whatever is usual. */
export const QUORUM = 7
/** Evidence, nats, from which on a rise of working reports too (a rumour) asks the share to speak as well. */
const RUMOUR_FROM = 5
/** A share may rise because fewer people say it works; without more who say it fails, by this factor, that is no alarm. */
const SHARE_RISE_MIN = 1.2
/** Below this φ the negative binomial is taken as Poisson. */
const POISSON_BELOW = 1.02

/** One CUSUM: evidence (nats) and, over its run since it last was nothing, what was counted and what expected. */
export interface Chart {
  value: number
  /** Start of the run, ms: of its first window, or of the next one while there is none. */
  start: number
  y: number
  m: number
  upper: number
  w: number
  mw: number
}

/** One window of a scope: y and w with their expected m and m_w, and m⁺ of y and m_s for the share; reports in the whole window. */
export interface Seen { y: number, w: number, m: number, upper: number, mw: number, shareUpper: number }

/** How far counts stray: variance over mean by luck, and how far the learnt odds of `down` may be off, relative. */
export interface Spread { phi: number, shareError: number }

/** By count chart, what one report adds and one normally expected report takes away, nats. */
export interface Weights { gains: number[], costs: number[] }

/**
 * What one report adds when the mean may be `q` times the normal one: the negative binomial log-likelihood ratio with
 * fixed size (Höhle & Paul 2008, CSDA 52:4357), here size m/(φ−1), so that it is linear in the count and counts at the
 * mean drift down whatever φ is; Poisson (Lucas 1985) for φ < 1.02.
 */
export function reportGain (q: number, phi: number): number {
  return phi < POISSON_BELOW ? Math.log(q) : Math.log(q * phi / (1 + q * (phi - 1)))
}

/** What one normally expected report takes away; see `reportGain`. */
export function expectedCost (q: number, phi: number): number {
  return phi < POISSON_BELOW ? q - 1 : Math.log((1 + q * (phi - 1)) / phi) / (phi - 1)
}

/** The weights of all count charts for a dispersion. */
export function weightsFor (phi: number): Weights {
  return { gains: RATIOS.map(q => reportGain(q, phi)), costs: RATIOS.map(q => expectedCost(q, phi)) }
}

/** All charts of a scope without evidence; their runs would begin at `start` (ms). */
export function emptyCharts (start: number): Chart[] {
  return [...RATIOS, ...ODDS].map(() => ({ value: 0, start, y: 0, m: 0, upper: 0, w: 0, mw: 0 }))
}

/** No evidence and no run; the next one would begin at `start` (ms). In place. */
export function resetChart (chart: Chart, start: number): void {
  chart.value = 0
  chart.start = start
  chart.y = chart.m = chart.upper = chart.w = chart.mw = 0
}

/**
 * What a report adds and what a working report takes away when the odds of `down` may be θ times the expected
 * `mean`/`working`. For φ = 1 the binomial log-likelihood ratio. Beyond, `down` rises by q = θ/(1+(θ−1)p) as on a count
 * chart, and working reports fall by that r for which both together expect nothing, whatever the traffic:
 * mean·expectedCost(q) + working·expectedCost(r) = 0. So a clump of reports is no more evidence here than there; the
 * binomial over φ took it for much more and raised half of all false alarms in simulation.
 */
export function shareGains (odds: number, mean: number, working: number, phi: number): { down: number, working: number } {
  const rise = 1 + (odds - 1) * mean / (mean + working)
  const q = odds / rise
  if (phi < POISSON_BELOW) return { down: Math.log(q), working: -Math.log(rise) }
  const r = (phi * ((1 + q * (phi - 1)) / phi) ** (-mean / working) - 1) / (phi - 1)
  return { down: reportGain(q, phi), working: reportGain(r, phi) }
}

/**
 * Adds a window to every chart of a scope; `next` is the next window's start, ms. The share charts rest while the
 * scope's share is not known. In place.
 */
export function pushCharts (charts: readonly Chart[], { gains, costs }: Weights, seen: Seen, phi: number, shareKnown: boolean, next: number): void {
  const { y, upper } = seen
  for (let i = 0; i < RATIOS.length; i++) pushChart(charts[i]!, gains[i]! * y - costs[i]! * upper, seen, next)
  if (!shareKnown) return
  for (let i = 0; i < ODDS.length; i++) {
    const chart = charts[RATIOS.length + i]!
    let x = 0
    // Working reports alone take away from nothing.
    if (y > 0 || (seen.w > 0 && chart.value > 0)) {
      const gains = shareGains(ODDS[i]!, seen.shareUpper, seen.mw, phi)
      x = y * gains.down + seen.w * gains.working
    }
    pushChart(chart, x, seen, next)
  }
}

/**
 * Page's (1954) step, of least delay in the worst case (Moustakides 1986): adds `x` nats; at or below nothing the run
 * ends and the next begins at `next` (ms). In place.
 */
export function pushChart (chart: Chart, x: number, seen: Seen, next: number): void {
  const value = chart.value + x
  if (value <= 0) {
    resetChart(chart, next)
    return
  }
  chart.value = value
  chart.y += seen.y
  chart.m += seen.m
  chart.upper += seen.upper
  chart.w += seen.w
  chart.mw += seen.mw
}

/**
 * What of a chart's evidence counts: nothing below the quorum. Of a count chart, when working reports rose as well, as
 * they do when news make people look, only as much beyond 5 nats as the share of `down` gives by itself (without this
 * 61% of simulated rumours raise an alarm, with it 3–11%). Of a share chart, nothing unless more people say it fails.
 */
export function countedValue (charts: readonly Chart[], index: number, spread: Spread): number {
  const chart = charts[index]!
  if (chart.y < QUORUM) return 0
  if (isShareChart(index)) return chart.y > SHARE_RISE_MIN * chart.m ? chart.value : 0
  if (chart.value <= RUMOUR_FROM || chart.w <= chart.mw) return chart.value
  return Math.min(chart.value, RUMOUR_FROM + shareEvidence(chart, spread))
}

/**
 * Binomial log-likelihood ratio of the run's share of `down` against the expected one, over its spread; 0 if it did not
 * rise. Of n reports at share p, V = n·p(1−p), `down` strays by φ·V by luck, and by (error·V)² as the odds were learnt.
 * With the odds taken for exact 18 of 60 rumours alarmed in a service of 15 cells learnt for two days, not 3 (2026-11-24).
 */
function shareEvidence (run: Chart, { phi, shareError }: Spread): number {
  const share = run.y / (run.y + run.w)
  const expected = run.m / (run.m + run.mw)
  if (share <= expected) return 0
  const luck = (run.y + run.w) * expected * (1 - expected)
  const ratio = run.y * Math.log(share / expected) + run.w * Math.log((1 - share) / (1 - expected))
  return ratio / (phi + shareError ** 2 * luck)
}

/** Index of the chart that says most, or -1 when none may speak. */
export function bestChart (charts: readonly Chart[], spread: Spread): number {
  let best = -1
  let most = 0
  for (let i = 0; i < charts.length; i++) {
    if (charts[i]!.value <= most) continue
    const value = countedValue(charts, i, spread)
    if (value > most) {
      best = i
      most = value
    }
  }
  return best
}

/** The largest evidence that makes an hour suspicious, nats: a rumour counts in full, since it is not to be learnt either. */
export function suspicionOf (charts: readonly Chart[], spread: Spread): number {
  let most = 0
  for (let i = 0; i < charts.length; i++) {
    most = Math.max(most, isShareChart(i) ? countedValue(charts, i, spread) : charts[i]!.value)
  }
  return most
}

/** Whether a chart looks at the share of `down` among all reports. */
export function isShareChart (index: number): boolean {
  return index >= RATIOS.length
}

/** A chart's name in a reading: `count×3`, `share×5`. */
export function chartName (index: number): string {
  return isShareChart(index) ? `share×${ODDS[index - RATIOS.length]}` : `count×${RATIOS[index]}`
}
