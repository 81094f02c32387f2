// One service under replay: its rows as even windows for the detector, what it said, and its curve in bounded memory.
// Not here: files, formats and the command (replay).
import { expectationAt, upperCount, type ScopeExpectation } from './core/baseline.ts'
import { WINDOW_WIDTHS } from './core/curves.ts'
import { advance, decide, newDetector, type DetectorState, type OutageFigures, type SeenCell, type Transition } from './core/detector.ts'
import { Fault } from './core/faults.ts'
import { coarsenRegion } from './core/regions.ts'
import { DAY_MS, floorTo, HOUR_MS, MINUTE_MS } from './core/time.ts'
import { ALL, scopeKey, type OutageState } from './core/vocabulary.ts'
import { drawCurve, type PictureOutage, type PicturePoint } from './http/pictures.ts'

/** A checked row: one cell of a window, a gap `[start, end)`, or scopes (`scopeKey`) whose alarm was withheld; instants in ms. */
export type ReplayRow =
  | { service: string, start: number, expected_per_hour?: number | undefined, width_s?: number | undefined, region: string, device_class: string, working: number, degraded: number, down: number }
  | { service: string, start: number, end: number, gap: true }
  | { service: string, start: number, withheld: string[] }

/** What a replay prints of a transition; instants RFC 3339. */
export interface Said {
  service: string
  outage: string
  at: string
  state: OutageState
  scope: { region: string, device_class: string }
  onset_at: string
  severity: number
  score: number
}

/** Down reports an hour that a service is expected to have before anything was learnt: the catalogue's default. */
const EXPECTED_PER_HOUR = 2
const WIDTH_S_DEFAULT = 60
/** Windows that are filled between two rows: two years of minutes. A slip in a year must not keep us busy for ever. */
const FILLED_WINDOWS_MAX = 2 * 366 * 1440
const POINTS_MAX = 2_000
/** Outages drawn in one picture: the latest. */
const DRAWN_OUTAGES_MAX = 1_000

interface OpenWindow { start: number, cells: SeenCell[], seen: Set<string>, withheld: Set<string> }

/** Adds up windows of a picture's point. */
interface Sums { start: number, working: number, degraded: number, down: number, m: number, upper: number, phiM: number, watched: boolean }

const EVERYTHING = scopeKey({ region: ALL, deviceClass: ALL })

/** One service under replay. */
export class ReplayedService {
  readonly slug: string
  #state: DetectorState | undefined
  #widthMs = 0
  /** End of what is known so far, ms. */
  #cursor = 0
  #first = 0
  #window: OpenWindow | undefined
  #gaps: { start: number, end: number }[] = []
  #expectation: ScopeExpectation | undefined
  #windows = 0
  #outages: PictureOutage[] = []
  #outageCount = 0
  #confirmedCount = 0
  #firstSuspected: number | null = null
  #peak = 0
  #longestMs = 0
  readonly #curve: Curve | undefined

  constructor (slug: string, drawn: boolean) {
    this.slug = slug
    this.#curve = drawn ? new Curve() : undefined
  }

  /**
   * Takes the service's next row and returns what the detector said of the windows it completes.
   * @throws Fault `invalid` when the row does not follow the ones before.
   */
  accept (row: ReplayRow): Said[] {
    if ('gap' in row) return this.#acceptGap(row)
    if ('withheld' in row) {
      if (this.#state === undefined) throw new Fault('invalid', 'nothing can be withheld before the first window')
      const said = this.#open(row.start, undefined)
      for (const scope of row.withheld) this.#window!.withheld.add(scope)
      return said
    }
    const said = this.#open(row.start, row.width_s, row.expected_per_hour)
    const window = this.#window!
    const cell = `${row.region}|${row.device_class}`
    if (window.seen.has(cell)) throw new Fault('invalid', `a second row of ${cell} at ${instant(row.start)}`)
    window.seen.add(cell)
    const { working, degraded, down } = row
    window.cells.push({ region: coarsenRegion(row.region)!, deviceClass: row.device_class, working, degraded, down })
    return said
  }

  /** Judges what is still open: the last row's window, and a gap after it. */
  finish (): Said[] {
    const said = this.#close()
    const end = this.#gaps.at(-1)?.end
    if (end !== undefined && this.#state !== undefined) said.push(...this.#fill(end))
    return said
  }

  #open (start: number, widthS: number | undefined, expectedPerHour = EXPECTED_PER_HOUR): Said[] {
    if (this.#state === undefined) {
      const widthMs = (widthS ?? WIDTH_S_DEFAULT) * 1000
      this.#widthMs = widthMs
      this.#state = newDetector(expectedPerHour, widthMs / MINUTE_MS)
      this.#cursor = this.#first = start
      this.#gaps = this.#gaps.filter(({ end }) => end > start)
    }
    if (widthS !== undefined && widthS * 1000 !== this.#widthMs) {
      throw new Fault('invalid', `width_s ${widthS}, but the service's windows are ${this.#widthMs / 1000} s wide`)
    }
    if (this.#window?.start === start) return []
    const known = this.#knownUntil()
    if (start < known) throw new Fault('invalid', `starts at ${instant(start)}, before ${instant(known)}, where the rows before it end`)
    const said = [...this.#close(), ...this.#fill(start)]
    this.#cursor = start
    this.#window = { start, cells: [], seen: new Set(), withheld: new Set() }
    return said
  }

  #acceptGap ({ start, end }: { start: number, end: number }): Said[] {
    if (end <= start) throw new Fault('invalid', 'a gap must end after its start')
    const known = this.#knownUntil()
    if (start < known) throw new Fault('invalid', `the gap starts at ${instant(start)}, before ${instant(known)}, where the rows before it end`)
    // Before the first row nothing is known anyway.
    const said = this.#state === undefined ? [] : [...this.#close(), ...this.#fill(start)]
    this.#gaps = [...this.#gaps.filter(gap => gap.end > this.#cursor), { start, end }].slice(-POINTS_MAX)
    return said
  }

  #knownUntil (): number {
    const window = this.#window === undefined ? this.#cursor : this.#window.start + this.#widthMs
    return Math.max(window, this.#gaps.at(-1)?.end ?? window)
  }

  #close (): Said[] {
    const window = this.#window
    if (window === undefined) return []
    this.#window = undefined
    this.#cursor = window.start + this.#widthMs
    return this.#judge(window.start, true, window.cells, window.withheld)
  }

  /** Judges the whole windows up to `until`: zeros, or a gap where one overlaps. A remainder less than a window is passed over. */
  #fill (until: number): Said[] {
    if ((until - this.#cursor) / this.#widthMs > FILLED_WINDOWS_MAX) {
      throw new Fault('invalid', `more than ${FILLED_WINDOWS_MAX} windows lie between ${instant(this.#cursor)} and ${instant(until)}`)
    }
    const said: Said[] = []
    for (; this.#cursor + this.#widthMs <= until; this.#cursor += this.#widthMs) {
      const start = this.#cursor
      const gap = this.#gaps.some(gap => gap.start < start + this.#widthMs && gap.end > start)
      said.push(...this.#judge(start, !gap, [], new Set()))
    }
    return said
  }

  #judge (start: number, watched: boolean, cells: SeenCell[], withheld: Set<string>): Said[] {
    const state = this.#state!
    const { expectation } = advance(state, { start, watched, cells })
    if (expectation !== null) this.#expectation = expectation.scopes[EVERYTHING]
    const decision = decide(state, withheld)
    this.#windows += 1
    this.#curve?.add(start, this.#widthMs, watched, cells, this.#expectation!)
    return decision.outage === null ? [] : this.#note(decision.transitions, decision.outage, start + this.#widthMs)
  }

  #note (transitions: readonly Transition[], figures: OutageFigures, end: number): Said[] {
    this.#peak = Math.max(this.#peak, figures.severity)
    this.#longestMs = Math.max(this.#longestMs, end - figures.onsetAt)
    const said: Said[] = []
    for (const { type, state, at, scope, reading } of transitions) {
      if (type === 'suspected') {
        this.#outageCount += 1
        this.#firstSuspected ??= at
        this.#outages.push({ from: figures.onsetAt, suspectedAt: at, confirmedAt: null, to: null, state })
        if (this.#outages.length > DRAWN_OUTAGES_MAX) this.#outages.shift()
      }
      // Not when reports rise again after a recovery: that is the same outage.
      if (type === 'confirmed' && figures.confirmedAt === at) this.#confirmedCount += 1
      this.#outages[this.#outages.length - 1] = {
        from: figures.onsetAt,
        suspectedAt: figures.detectedAt,
        confirmedAt: figures.confirmedAt,
        to: figures.resolvedAt ?? figures.dismissedAt,
        state
      }
      said.push({
        service: this.slug,
        outage: `${this.slug}-${this.#outageCount}`,
        at: instant(at),
        state,
        scope: { region: scope.region, device_class: scope.deviceClass },
        onset_at: instant(figures.onsetAt),
        severity: round(figures.severity),
        score: round(reading.score)
      })
    }
    return said
  }

  /** The service's cells in the table for people. */
  row (): string[] {
    const none = '–'
    return [
      this.slug, String(this.#windows), String(this.#outageCount), String(this.#confirmedCount),
      this.#firstSuspected === null ? none : instant(this.#firstSuspected),
      this.#outageCount === 0 ? none : `×${this.#peak.toFixed(1)}`,
      this.#outageCount === 0 ? none : duration(this.#longestMs)
    ]
  }

  /** The curve of the whole service as an SVG document; only of a service that was to be drawn. */
  draw (): string {
    if (this.#curve === undefined) throw new Error(`${this.slug} kept no curve`)
    const { widthMs, points } = this.#curve.finish()
    return drawCurve({
      title: this.slug,
      scope: 'everywhere, all devices',
      windowS: widthMs / 1000,
      from: points[0]?.start ?? this.#first,
      to: (points.at(-1)?.start ?? this.#first) + widthMs,
      points,
      outages: this.#outages,
      acknowledgements: []
    })
  }
}

/** A curve of at most POINTS_MAX points: it grows coarser instead of longer, to the finest of our widths that fits. */
class Curve {
  #widthMs = 0
  /** Where the grid begins: a service's own first start, the epoch once it is coarser than its windows. */
  #origin = 0
  #points: Sums[] = []

  add (start: number, widthMs: number, watched: boolean, cells: readonly SeenCell[], expectation: ScopeExpectation): void {
    if (this.#widthMs === 0) {
      this.#widthMs = widthMs
      this.#origin = start % widthMs
    }
    const sums: Sums = { start, working: 0, degraded: 0, down: 0, m: 0, upper: 0, phiM: 0, watched }
    if (watched) {
      for (const { working, degraded, down } of cells) {
        sums.working += working
        sums.degraded += degraded
        sums.down += down
      }
      const minute = (start - floorTo(start, HOUR_MS)) / MINUTE_MS
      const stepMin = widthMs / MINUTE_MS
      // Both are linear over a window's middle, so that one reading there stands for all of its minutes.
      const { m, upper } = expectationAt(expectation, minute + stepMin / 2 - 0.5)
      sums.m = m * stepMin
      sums.upper = upper * stepMin
      sums.phiM = sums.m * expectation.phi
    }
    this.#merge(sums)
    while (this.#points.length > POINTS_MAX) this.#coarsen()
  }

  #merge (sums: Sums): void {
    const start = floorTo(sums.start - this.#origin, this.#widthMs) + this.#origin
    let last = this.#points.at(-1)
    if (last !== undefined && last.start === start) {
      for (const member of ['working', 'degraded', 'down', 'm', 'upper', 'phiM'] as const) last[member] += sums[member]
      last.watched ||= sums.watched
      return
    }
    // Windows that begin anew off the grid may leave one of its places empty.
    for (; last !== undefined && last.start + this.#widthMs < start; last = this.#points.at(-1)!) {
      this.#points.push({ start: last.start + this.#widthMs, working: 0, degraded: 0, down: 0, m: 0, upper: 0, phiM: 0, watched: false })
    }
    this.#points.push({ ...sums, start })
  }

  #coarsen (): void {
    const widths = Object.values(WINDOW_WIDTHS).map(({ widthMs }) => widthMs)
    const coarser = widths.find(width => width > this.#widthMs && width % this.#widthMs === 0)
    // Beyond the coarsest width that is named, by doubling days.
    this.#widthMs = coarser ?? Math.max(DAY_MS, this.#widthMs * 2)
    this.#origin = 0
    const finer = this.#points
    this.#points = []
    for (const sums of finer) this.#merge(sums)
  }

  finish (): { widthMs: number, points: PicturePoint[] } {
    return {
      widthMs: this.#widthMs,
      points: this.#points.map(({ start, working, degraded, down, m, upper, phiM, watched }) => ({
        start,
        working,
        degraded,
        down,
        expectedDown: watched ? m : null,
        upperDown: watched ? upperCount(upper, phiM / m) : null,
        complete: true,
        gap: !watched
      }))
    }
  }
}

function instant (at: number): string {
  return new Date(at).toISOString().replace('.000Z', 'Z')
}

function round (value: number): number {
  return Math.round(value * 1000) / 1000
}

function duration (ms: number): string {
  const minutes = Math.round(ms / MINUTE_MS)
  const hours = Math.floor(minutes / 60)
  return hours === 0 ? `${minutes} min` : `${hours} h ${String(minutes % 60).padStart(2, '0')} min`
}
