// What befalls a simulated service: outages, rumours, brigades and sybils, drawn at random. Their reports are streams.ts'.
import { ALL, type Scope } from '../../src/core/vocabulary.ts'
import { logUniform, shuffled, uniform, weighted, whole, type Random } from './random.ts'

/** Minutes since the stream's start; `end` is exclusive. */
interface Span { onset: number, end: number }

/** Reports of failure rise by `ratio`, working reports fall by the share `severity`, both within `scope`. */
export interface SimulatedOutage extends Span {
  kind: 'outage'
  scope: Scope
  /** 0: a step. Else the minutes over which the change grows linearly to its full size. */
  rampMin: number
  ratio: number
  severity: number
}

/** News that make everybody look: more of both kinds of report, while nothing failed. */
export interface Rumour extends Span { kind: 'rumour', downX: number, workingX: number }

/** A few voices in one cell that say it fails: after deduplication `reports` are left, from `networks` networks. */
export interface Fakes extends Span { kind: 'brigade' | 'sybil', region: number, device: number, reports: number, networks: number }

export type SimulatedEvent = SimulatedOutage | Rumour | Fakes

/** What an outage's size depends on: rates in down reports a minute, by region and device class. */
export interface Stage {
  rate: number
  regions: readonly string[]
  devices: readonly string[]
  regionShares: readonly number[]
  deviceShares: readonly number[]
  phi: number
  /** Mean of down reports a minute in a scope at a minute, before traffic noise. */
  meanOf: (scope: Scope, minute: number) => number
}

const KINDS = [...Array<'outage'>(10).fill('outage'), 'rumour', 'rumour', 'brigade', 'sybil'] as const
/** An event begins in the first part of its turn, so that more than an hour is left behind the longest one. */
const BEGIN_SHARE = 0.6
const HISTORY_OUTAGES_MAX = 8
/** At most so many down reports a minute: outages of a part of so small a service are hardly told. */
const SPARSE_RATE = 0.03

/** Ten outages, two rumours, a brigade and a sybil group in random order, evenly spread over `[from, to)` (minutes). */
export function drawTestEvents (random: Random, stage: Stage, from: number, to: number): SimulatedEvent[] {
  const turn = (to - from) / KINDS.length
  return shuffled(random, KINDS).map((kind, index) => {
    const onset = Math.floor(from + index * turn + uniform(random, 0.05, BEGIN_SHARE) * turn)
    if (kind === 'outage') return drawOutage(random, stage, onset)
    if (kind === 'rumour') return drawRumour(random, onset)
    return drawFakes(random, stage, kind, onset, kind === 'brigade' ? whole(random, 1, 5) : whole(random, 2, 6))
  })
}

/** Up to eight outages of the past in `[from, to)` (minutes): they contaminate what is learnt. */
export function drawPastOutages (random: Random, stage: Stage, from: number, to: number): SimulatedOutage[] {
  return Array.from({ length: whole(random, 0, HISTORY_OUTAGES_MAX) }, () =>
    drawOutage(random, stage, Math.floor(uniform(random, from, to - 300))))
}

/** Sizes, lengths and shapes follow the distributions of the shared set of simulated outages (173 of them). */
export function drawOutage (random: Random, stage: Stage, onset: number): SimulatedOutage {
  // Whole service, a region, a device class, a cell.
  const kind = weighted(random, stage.rate > SPARSE_RATE ? [0.46, 0.25, 0.13, 0.16] : [0.7, 0.05, 0.15, 0.1])
  const scope = {
    region: kind === 1 || kind === 3 ? stage.regions[weighted(random, stage.regionShares)]! : ALL,
    deviceClass: kind >= 2 ? stage.devices[weighted(random, stage.deviceShares)]! : ALL
  }
  const mean = stage.meanOf(scope, onset)
  // There, ln(excess a minute) = 1.10 + 0.50 ln(mean) + 0.14 ln(rate) + 0.39 ln φ, spread evenly by 1.53 to both sides.
  const excess = Math.exp(1.10 + uniform(random, -1.53, 1.53)) * mean ** 0.5 * stage.rate ** 0.14 * stage.phi ** 0.39
  const durationMin = Math.round(logUniform(random, 20, 240))
  return {
    kind: 'outage',
    onset,
    end: onset + durationMin,
    scope,
    rampMin: random() < 0.64 ? 0 : whole(random, 10, 60),
    ratio: 1 + excess / mean,
    severity: uniform(random, 0.3, 1)
  }
}

function drawRumour (random: Random, onset: number): Rumour {
  const workingX = logUniform(random, 3, 18)
  return { kind: 'rumour', onset, end: onset + Math.round(logUniform(random, 20, 120)), downX: workingX * uniform(random, 0.35, 1), workingX }
}

function drawFakes (random: Random, stage: Stage, kind: Fakes['kind'], onset: number, reports: number): Fakes {
  return {
    kind,
    onset,
    end: onset + whole(random, 5, 40),
    region: whole(random, 0, stage.regions.length - 1),
    device: whole(random, 0, stage.devices.length - 1),
    reports,
    networks: kind === 'sybil' ? Math.min(reports, 2) : reports
  }
}

/** How much of an outage's change is there in a minute, 0 to 1. */
export function grown ({ onset, end, rampMin }: SimulatedOutage, minute: number): number {
  if (minute < onset || minute >= end) return 0
  return rampMin === 0 ? 1 : Math.min(1, (minute - onset + 1) / rampMin)
}
