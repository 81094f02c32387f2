// What is normal for one scope at this hour of the day: what is learnt, when, and what it predicts.
// Not here: which scopes exist (scan) and what is done with evidence against the baseline (charts, detector).
import { HOUR_MS } from './time.ts'

/** A value at the start, middle and end of an hour; linear between, and on past the end (the centre of the next hour). */
export type Triple = [number, number, number]

/** m and m⁺ (down reports a minute) of one scope at the start, middle and end of one hour, linear between; φ of the hour. */
export interface ScopeExpectation { m: Triple, upper: Triple, phi: number }

/** What the detector expects in one hour (`hour`: its start, ms) of every scope, by `scopeKey`: a `baselines` row. */
export interface HourExpectation { hour: number, learntHours: number, scopes: Record<string, ScopeExpectation> }

/** What one hour brought, kept until it is learnt. Counts are of reports, `y` and `w` as in `Baseline`. */
export interface HourRecord {
  hourOfDay: number
  y: number
  w: number
  /** Watched minutes: silence counts, gaps do not. */
  minutes: number
  /** Σ of what the profile alone, without the level, predicted of y and w. */
  profileY: number
  profileW: number
  /** Σm, and Σ(y−m)² with y clipped. */
  predictedY: number
  residual2: number
  /** Σ½(y_t−y_{t−1})² over neighbouring watched windows. */
  difference2: number
  /** Σ(y−n·p₀) and Σn·p₀(1−p₀), n = y+w: how far the share of `down` strayed, and its variance by luck. */
  shareResidual: number
  shareVariance: number
  suspicious: boolean
}

/** Everything learnt of one scope. y = down + degraded/2, w = working + degraded/2. */
export interface Baseline {
  /** By UTC hour: reports y, reports w, watched minutes; 28-day memory. */
  binY: number[]
  binW: number[]
  binMinutes: number[]
  /** Seen and, by the profile alone, predicted; 12-hour memory. */
  levelSeenY: number
  levelSeenW: number
  levelPredictedY: number
  levelPredictedW: number
  /** φ, σ² and the share's σ² as numerator and denominator; 10-day memory. */
  phiOver: number
  phiUnder: number
  strayOver: number
  strayUnder: number
  shareStrayOver: number
  shareStrayUnder: number
  learntHours: number
  /** Suspicious hours since the last calm one. */
  skippedHours: number
  open: HourRecord
  pending: HourRecord | null
  /** y of the window before; null after a gap and at birth. */
  lastY: number | null
}

/** What a baseline predicts for one hour; rates are reports a minute. */
export interface HourModel extends ScopeExpectation {
  /** Expected working reports a minute. */
  w: Triple
  /** m_s: what m may be at most in the expected share of `down`, m_s/(m_s + m_w). */
  shareUpper: Triple
  /** How far the learnt odds of `down` may be off, relative. */
  shareError: number
  levelY: number
  levelW: number
  /** Posterior mean of y over the whole day, reports a minute. */
  dailyMean: number
}

const BIN_DECAY = Math.exp(-24 / 672)
const LEVEL_DECAY = Math.exp(-1 / 12)
const SPREAD_DECAY = Math.exp(-1 / 240)
/** Before this many learnt hours there is no level and no clipping: against the prior alone both blind (a level near 95 after one busy hour). */
const SETTLED_HOURS = 24
/** Before this many learnt hours φ is learnt from differences, σ² not at all, and no hour is skipped. */
const KNOWN_HOURS = 48
const SKIPPED_HOURS_MAX = 24
/** φ of a service of which nothing is known. */
const USUAL_DISPERSION = 2.5
/** Fewer expected reports an hour than this would make the prior's mean zero, and its logarithm nothing. */
const EXPECTED_PER_HOUR_MIN = 0.001

function emptyHour (hourOfDay: number): HourRecord {
  return {
    hourOfDay,
    y: 0,
    w: 0,
    minutes: 0,
    profileY: 0,
    profileW: 0,
    predictedY: 0,
    residual2: 0,
    difference2: 0,
    shareResidual: 0,
    shareVariance: 0,
    suspicious: false
  }
}

/** A scope of which nothing is known, in an hour of the UTC day. */
export function newBaseline (hourOfDay: number): Baseline {
  return {
    binY: Array<number>(24).fill(0),
    binW: Array<number>(24).fill(0),
    binMinutes: Array<number>(24).fill(0),
    levelSeenY: 0,
    levelSeenW: 0,
    levelPredictedY: 0,
    levelPredictedW: 0,
    phiOver: 0,
    phiUnder: 0,
    strayOver: 0,
    strayUnder: 0,
    shareStrayOver: 0,
    shareStrayUnder: 0,
    learntHours: 0,
    skippedHours: 0,
    open: emptyHour(hourOfDay),
    pending: null,
    lastY: null
  }
}

/**
 * The same as it was stored, its members in the order of a new one: V8 takes objects of two orders for two kinds, and the
 * first hour after a start took twice as long (measured 2026-11-26, Node 20.20).
 */
export function reviveBaseline (stored: Baseline): Baseline {
  const revive = (hour: HourRecord) => Object.assign(emptyHour(hour.hourOfDay), hour)
  const { open, pending } = stored
  return Object.assign(newBaseline(open.hourOfDay), stored, { open: revive(open), pending: pending === null ? null : revive(pending) })
}

/**
 * Variance over mean, at least 1; leans on `usual` with the weight of 30 reports: on 2.5 for a whole service (1.2 ruined
 * sparse services in simulation), on the service's own for its parts, whose few reports cannot tell.
 */
export function dispersion (b: Baseline, usual = USUAL_DISPERSION): number {
  return Math.max(1, (30 * usual + b.phiOver) / (30 + b.phiUnder))
}

/** All reports that are remembered of a scope, those of the running hour too. */
export function rememberedReports ({ binY, binW, pending, open }: Baseline): number {
  return sum(binY) + sum(binW) + (pending === null ? 0 : pending.y + pending.w) + open.y + open.w
}

/** Until a scope has learnt two hours its part of the whole is unknown: it may be all of it. */
export function knowsShares ({ learntHours }: Baseline): boolean {
  return learntHours >= 2
}

/** How far the hour's mean may be off, relative: the prediction's error, the bin's, and not having learnt yet. */
export function relativeError (b: Baseline, hourOfDay: number, phi: number): number {
  return Math.sqrt(strayOf(b.strayOver, b.strayUnder) + phi / (15 + b.binY[hourOfDay]!) + coldness(b))
}

/** The same of the share of `down`, which the noise that all reports share leaves alone but working reports' bins do not. */
export function relativeShareError (b: Baseline, hourOfDay: number, phi: number): number {
  return Math.sqrt(strayOf(b.shareStrayOver, b.shareStrayUnder) + phi / (15 + b.binY[hourOfDay]!) +
    phi / (15 + b.binW[hourOfDay]!) + coldness(b))
}

function strayOf (over: number, under: number): number {
  return Math.max(0.0004, (4 + over) / (400 + under))
}

function coldness ({ learntHours }: Baseline): number {
  return 0.64 * Math.max(0, 1 - learntHours / 72)
}

/**
 * The prediction for an hour of the UTC day: Gamma–Poisson posterior means, the day's leaning on `expectedPerHour`
 * (of down reports in this scope; twice that for working ones; worth 20 minutes), a bin's on the day's.
 * `service`, for a part of a service, is the model of the whole: φ leans on it, and while the part's own share is not
 * known, m⁺ is at least the whole's.
 */
export function predictHour (b: Baseline, hourOfDay: number, expectedPerHour: number, service?: HourModel): HourModel {
  const e = Math.max(expectedPerHour, EXPECTED_PER_HOUR_MIN) / 60
  const minutes = sum(b.binMinutes)
  const dailyMean = (sum(b.binY) + 20 * e) / (minutes + 20)
  const dailyMeanW = (sum(b.binW) + 40 * e) / (minutes + 20)
  const levelY = (30 + b.levelSeenY) / (30 + b.levelPredictedY)
  const levelW = (30 + b.levelSeenW) / (30 + b.levelPredictedW)
  const phi = dispersion(b, service?.phi)
  const m = interpolateBins(b.binY, b.binMinutes, hourOfDay, dailyMean, levelY)
  // One more report could always have come, in the time watched or in a day.
  const add = 1 / Math.min(Math.max(minutes, 60), 1440)
  const margin = 1 + 3 * relativeError(b, hourOfDay, phi)
  const shareError = relativeShareError(b, hourOfDay, phi)
  const floor = knowsShares(b) ? undefined : service?.upper
  const upper = mapTriple(m, (rate, i) => Math.max(rate * margin + add, floor?.[i] ?? 0))
  const shareUpper = mapTriple(m, rate => rate * (1 + 3 * shareError) + add)
  const w = interpolateBins(b.binW, b.binMinutes, hourOfDay, dailyMeanW, levelW)
  return { m, upper, w, shareUpper, shareError, phi, levelY, levelW, dailyMean }
}

function mapTriple ([a, b, c]: Triple, change: (value: number, index: 0 | 1 | 2) => number): Triple {
  return [change(a, 0), change(b, 1), change(c, 2)]
}

function interpolateBins (counts: number[], minutes: number[], hour: number, mean: number, level: number): Triple {
  const bin = (h: number): number => (15 + counts[h]!) / (15 / mean + minutes[h]!)
  const before = bin((hour + 23) % 24)
  const here = bin(hour)
  const after = bin((hour + 1) % 24)
  return [level * (before + here) / 2, level * here, level * (here + after) / 2]
}

/** The hour's line at `position` (0 = its start, 1 = its end; up to 1.5, the centre of the next hour). */
export function readTriple (triple: Triple, position: number): number {
  return position <= 0.5
    ? triple[0] + (triple[1] - triple[0]) * 2 * position
    : triple[1] + (triple[2] - triple[1]) * (2 * position - 1)
}

/** Where in its hour (`hour` and `start`: ms) the middle of a window lies: 0 to 1.5. */
export function positionOf (start: number, stepMin: number, hour: number): number {
  return (start - hour) / HOUR_MS + stepMin / 120
}

/** m, m⁺ of the minute that starts `minuteOfHour` minutes into the hour, read at the minute's middle (linear between the three points). */
export function expectationAt (e: ScopeExpectation, minuteOfHour: number): { m: number, upper: number } {
  const position = (minuteOfHour + 0.5) / 60
  return { m: readTriple(e.m, position), upper: readTriple(e.upper, position) }
}

/** Adds a watched window of `stepMin` minutes to the open hour; `m` and `mw` are what the model expected of it. In place. */
export function recordWindow (b: Baseline, model: HourModel, seen: { y: number, w: number, m: number, mw: number }, stepMin: number): void {
  const { open } = b
  const { y, w, m, mw } = seen
  open.y += y
  open.w += w
  open.minutes += stepMin
  open.predictedY += m
  open.profileY += m / model.levelY
  open.profileW += mw / model.levelW
  const share = m / (m + mw)
  open.shareResidual += y - (y + w) * share
  open.shareVariance += (y + w) * share * (1 - share)
  // Clumps grow with φ: a bound that did not would never let a large one be learnt.
  const clipped = Math.min(y, m + 6 * Math.sqrt(model.phi * m) + 4 * model.phi)
  open.residual2 += (clipped - m) ** 2
  if (b.lastY !== null) open.difference2 += (y - b.lastY) ** 2 / 2
  b.lastY = y
}

/**
 * The hour is over: learns the hour before it (so one to two hours late, and an outage that was noticed meanwhile is
 * not learnt), unless one of both is suspicious here or, by `suspiciousAll`, in the whole service. An hour in which
 * nobody watched is no hour: nothing moves. In place.
 */
export function closeHour (b: Baseline, phi: number, suspiciousAll: boolean, nextHourOfDay: number): void {
  if (b.open.minutes > 0) {
    if (b.pending !== null) {
      const suspicious = suspiciousAll || b.open.suspicious || b.pending.suspicious
      if (!suspicious) b.skippedHours = 0
      if (suspicious && b.learntHours >= KNOWN_HOURS && b.skippedHours < SKIPPED_HOURS_MAX) b.skippedHours += 1
      else learnHour(b, b.pending, phi)
    }
    // What was learnt is the next hour's record: new ones for many thousand scopes cost more than learning them.
    const learnt = b.pending ?? emptyHour(nextHourOfDay)
    b.pending = b.open
    b.open = learnt
  }
  clearHour(b.open, nextHourOfDay)
}

function clearHour (hour: HourRecord, hourOfDay: number): void {
  hour.hourOfDay = hourOfDay
  hour.y = hour.w = hour.minutes = 0
  hour.profileY = hour.profileW = hour.predictedY = 0
  hour.residual2 = hour.difference2 = 0
  hour.shareResidual = hour.shareVariance = 0
  hour.suspicious = false
}

function learnHour (b: Baseline, hour: HourRecord, phi: number): void {
  const known = b.learntHours >= KNOWN_HOURS
  const settled = b.learntHours >= SETTLED_HOURS
  const predicted = hour.predictedY
  // Residuals of a baseline not yet learnt would pass for dispersion, and traffic's noise for ever if only differences counted.
  b.phiOver = b.phiOver * SPREAD_DECAY + (known ? hour.residual2 : hour.difference2)
  b.phiUnder = b.phiUnder * SPREAD_DECAY + (known ? predicted : hour.y)
  const rel = relativeError(b, hour.hourOfDay, phi)
  const y = settled
    ? Math.min(hour.y, predicted + 4 * Math.sqrt(phi * predicted + (rel * predicted) ** 2) + 8)
    : hour.y
  if (known) {
    b.strayOver = b.strayOver * SPREAD_DECAY + (y - predicted) ** 2 - phi * predicted
    b.strayUnder = b.strayUnder * SPREAD_DECAY + predicted ** 2
    b.shareStrayOver = b.shareStrayOver * SPREAD_DECAY + hour.shareResidual ** 2 - phi * hour.shareVariance
    b.shareStrayUnder = b.shareStrayUnder * SPREAD_DECAY + hour.shareVariance ** 2
  }
  const h = hour.hourOfDay
  b.binY[h] = b.binY[h]! * BIN_DECAY + y
  b.binW[h] = b.binW[h]! * BIN_DECAY + hour.w
  b.binMinutes[h] = b.binMinutes[h]! * BIN_DECAY + hour.minutes
  if (settled) {
    b.levelSeenY = b.levelSeenY * LEVEL_DECAY + y
    b.levelSeenW = b.levelSeenW * LEVEL_DECAY + hour.w
    b.levelPredictedY = b.levelPredictedY * LEVEL_DECAY + hour.profileY
    b.levelPredictedW = b.levelPredictedW * LEVEL_DECAY + hour.profileW
  }
  b.learntHours += 1
}

// Summed anew each time, in index order: running totals would depend on how they came about.
function sum (values: readonly number[]): number {
  let total = 0
  for (const value of values) total += value
  return total
}

/**
 * Smallest integer u with P(NB(mean m⁺, variance φ·m⁺) ≤ u) ≥ 0.99; Poisson for φ < 1.02. The weights are built from
 * the mode outwards, so that a large mean neither underflows nor needs a gamma function: O(√(φ·m⁺)) steps.
 */
export function upperCount (meanPlus: number, phi: number): number {
  if (!(meanPlus > 0)) return 0
  const poisson = phi < 1.02
  const size = meanPlus / (phi - 1)
  /** P(k + 1) / P(k) */
  const rise = (k: number): number => poisson ? meanPlus / (k + 1) : (k + size) / (k + 1) * (phi - 1) / phi
  const mode = Math.max(0, Math.floor(poisson ? meanPlus : meanPlus - phi))
  let lowest = mode
  let weight = 1
  let total = 1
  while (lowest > 0 && weight > 1e-18) {
    lowest -= 1
    weight /= rise(lowest)
    total += weight
  }
  const lowestWeight = weight
  weight = 1
  for (let k = mode; weight > 1e-18 * total || k < meanPlus; k++) {
    weight *= rise(k)
    total += weight
  }
  let u = lowest
  weight = lowestWeight
  for (let below = weight; below < 0.99 * total; u++) {
    weight *= rise(u)
    below += weight
  }
  return u
}
