// Simulated reports of one service, minute by minute, drawn from a seed: no data file, the same on every machine.
//
// After Noufaily et al. 2013 (Statistics in Medicine 32:1206): negative binomial counts with variance φ·mean and a
// log-linear mean of level, trend and seasonal Fourier terms; outbreaks lie in the past, too. What differs from the paper:
// minutes instead of weeks, so days and weeks are the seasons (the weekend a plateau); twelve cells of region × device
// class with seasons of their own; a second stream of working reports; slow traffic noise common to both; a clock shift;
// gaps; outages raise the mean by a ratio for 20–240 minutes at once or on a ramp, instead of adding a draw of k standard
// deviations spread log-normally. Gamma–Poisson counts are drawn by inversion of their law.
import { ALL, type Scope } from '../../src/core/vocabulary.ts'
import { drawPastOutages, drawTestEvents, grown, type SimulatedEvent, type SimulatedOutage, type Stage } from './events.ts'
import { countsWith, logUniform, newRandom, normal, shuffled, uniform, whole, type Random } from './random.ts'

/** Mean down reports a minute of the simulated services. */
export const RATES = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 20, 50] as const
/** Variance of a count over its mean. */
const DISPERSIONS = [1, 1.5, 2, 3, 5]
const REGIONS = ['US-CA', 'CA-ON', 'GB', 'DE']
const REGION_WEIGHTS = [0.4, 0.3, 0.15, 0.1]
const DEVICES = ['android', 'ipad-wifi', 'iphone', 'mac']
const DEVICE_SHARES = [0.6, 0.3, 0.1]
/** How many cells a service has. */
export const CELLS = REGIONS.length * DEVICE_SHARES.length

export const DAY_MIN = 1440
const WEEK_MIN = 7 * DAY_MIN
export const HISTORY_DAYS = 25
export const TEST_DAYS = 10
/** A quiet stream is judged over four weeks, after two in which every detector may learn. */
export const QUIET_WARM_DAYS = 14
export const QUIET_TEST_DAYS = 28
/** Traffic noise is an Ornstein–Uhlenbeck process; it forgets in an hour. */
const NOISE_MEMORY_MIN = 60
/** Its standard deviation, of the logarithm. */
const NOISE_MIN = 0.04
const NOISE_MAX = 0.3
/** A weekend comes and goes over this long, minutes. */
const WEEKEND_EDGE_MIN = 240

/** A Monday, ms since the epoch. */
export const START = Date.parse('2026-01-05T00:00:00Z')

/** One service and what befell it; `minutes` are consecutive, from `START`. */
export interface Stream extends Stage {
  minutes: number
  /** The first minute that is scored. */
  testFrom: number
  /** Working reports to a down report. */
  workingRatio: number
  /** By minute: 0 in a gap. */
  watched: Uint8Array
  /** By minute, then region, then device class. */
  down: Uint16Array
  working: Uint16Array
  /** By minute, then region: what the mean is multiplied by (seasons, trend, noise). */
  traffic: Float32Array
  /** Ascending by onset, those of the history first. */
  events: SimulatedEvent[]
  /** Fake reports that were counted, by minute and cell. */
  fakes: { minute: number, cell: number, networks: number }[]
}

/** The services with events of one seed: one stream after another, so only one need be in memory. */
export function * eventfulStreams (seed: number): Generator<Stream> {
  yield * drawServices(seed, 2, true)
}

/** Services of one seed to which nothing happens. */
export function * quietStreams (seed: number): Generator<Stream> {
  yield * drawServices(seed, 3, false)
}

/**
 * `each` services of every rate. What decides most about false alarms, dispersion and traffic noise, is spread evenly
 * over them, so that one seed's services are not noisier than another's.
 */
function * drawServices (seed: number, each: number, eventful: boolean): Generator<Stream> {
  const count = each * RATES.length
  for (let i = 0; i < count; i++) {
    const random = newRandom(seed, Number(eventful), i)
    const place = (7 * i % count + random()) / count
    yield drawStream(random, RATES[i % RATES.length]!, DISPERSIONS[i % DISPERSIONS.length]!, NOISE_MIN + place * (NOISE_MAX - NOISE_MIN), eventful)
  }
}

/**
 * A service at `rate` down reports a minute whose counts vary by `phi` times their mean, in traffic whose logarithm
 * strays by `noise`: 25 days of history and 10 of test with events, or 14 and 28 without.
 */
export function drawStream (random: Random, rate: number, phi: number, noise: number, eventful: boolean): Stream {
  const minutes = (eventful ? HISTORY_DAYS + TEST_DAYS : QUIET_WARM_DAYS + QUIET_TEST_DAYS) * DAY_MIN
  const testFrom = (eventful ? HISTORY_DAYS : QUIET_WARM_DAYS) * DAY_MIN
  const workingRatio = logUniform(random, 0.3, 4)
  const weights = shuffled(random, REGION_WEIGHTS)
  const weightSum = weights.reduce((sum, weight) => sum + weight, 0)
  const regionShares = weights.map(weight => weight / weightSum)
  const devices = shuffled(random, DEVICES).slice(0, DEVICE_SHARES.length)
  const seasons = drawSeasons(random, minutes)
  const deviceShares = DEVICE_SHARES
  const meanOf = ({ region, deviceClass }: Scope, minute: number): number => rate *
    (deviceClass === ALL ? 1 : deviceShares[devices.indexOf(deviceClass)]!) *
    REGIONS.reduce((sum, name, r) => region === ALL || region === name ? sum + regionShares[r]! * seasons[minute * REGIONS.length + r]! : sum, 0)
  const stage: Stage = { rate, regions: REGIONS, devices, regionShares, deviceShares, phi, meanOf }
  const events = eventful
    ? [...drawPastOutages(random, stage, DAY_MIN, testFrom - DAY_MIN), ...drawTestEvents(random, stage, testFrom, minutes)]
    : []
  const traffic = addNoise(random, seasons, noise)
  const stream: Stream = {
    ...stage,
    minutes,
    testFrom,
    workingRatio,
    watched: drawGaps(random, minutes),
    down: new Uint16Array(minutes * CELLS),
    working: new Uint16Array(minutes * CELLS),
    traffic,
    events: events.sort((a, b) => a.onset - b.onset),
    fakes: []
  }
  fillCounts(random, stream)
  addFakes(random, stream)
  return stream
}

/** Level, trend and seasons by minute and region, about 1 in the mean. */
function drawSeasons (random: Random, minutes: number): Float32Array {
  const amplitude = uniform(random, 0.25, 0.9)
  const weekend = uniform(random, -0.35, 0.3)
  const slopePerWeek = uniform(random, -0.08, 0.08)
  const shiftAt = random() < 0.5 ? whole(random, 2 * DAY_MIN, minutes - 2 * DAY_MIN) : minutes
  const shiftMin = random() < 0.5 ? 60 : -60
  const offsets = REGIONS.map(() => whole(random, 0, DAY_MIN - 1))
  const week = drawWeek(amplitude, weekend)
  const seasons = new Float32Array(minutes * REGIONS.length)
  for (let minute = 0; minute < minutes; minute++) {
    const trend = Math.exp(slopePerWeek * (minute - minutes / 2) / WEEK_MIN)
    const clock = minute + (minute >= shiftAt ? shiftMin : 0)
    for (let r = 0; r < REGIONS.length; r++) {
      seasons[minute * REGIONS.length + r] = trend * week[(clock + offsets[r]!) % WEEK_MIN]!
    }
  }
  return seasons
}

/** One local week from Monday, mean 1. */
function drawWeek (amplitude: number, weekend: number): Float64Array {
  const week = new Float64Array(WEEK_MIN)
  let sum = 0
  for (let minute = 0; minute < WEEK_MIN; minute++) {
    const angle = 2 * Math.PI * (minute - 14 * 60) / DAY_MIN
    const sinceSaturday = (minute + 2 * DAY_MIN) % WEEK_MIN
    const isWeekend = Math.max(0, Math.min(1, sinceSaturday / WEEKEND_EDGE_MIN, (2 * DAY_MIN + WEEKEND_EDGE_MIN - sinceSaturday) / WEEKEND_EDGE_MIN))
    week[minute] = Math.exp(amplitude * (Math.cos(angle) + 0.2 * Math.cos(2 * angle)) + weekend * isWeekend)
    sum += week[minute]!
  }
  return week.map(value => value * WEEK_MIN / sum)
}

function addNoise (random: Random, seasons: Float32Array, deviation: number): Float32Array {
  const traffic = new Float32Array(seasons.length)
  const kept = Math.exp(-1 / NOISE_MEMORY_MIN)
  const fresh = deviation * Math.sqrt(1 - kept * kept)
  let noise = deviation * normal(random)
  for (let at = 0; at < seasons.length; at += REGIONS.length) {
    noise = noise * kept + fresh * normal(random)
    const factor = Math.exp(noise - deviation * deviation / 2)
    for (let r = 0; r < REGIONS.length; r++) traffic[at + r] = seasons[at + r]! * factor
  }
  return traffic
}

function drawGaps (random: Random, minutes: number): Uint8Array {
  const watched = new Uint8Array(minutes).fill(1)
  for (let left = whole(random, 1, 5); left > 0; left--) {
    const from = whole(random, DAY_MIN, minutes - DAY_MIN)
    watched.fill(0, from, from + whole(random, 10, 120))
  }
  return watched
}

function fillCounts (random: Random, stream: Stream): void {
  const { minutes, rate, phi, workingRatio, regions, devices, regionShares, deviceShares, watched, traffic, down, working } = stream
  const draw = countsWith(phi)
  const [downX, workingX] = [new Float64Array(CELLS), new Float64Array(CELLS)]
  let ahead = 0
  let going: SimulatedEvent[] = []
  for (let minute = 0; minute < minutes; minute++) {
    while (ahead < stream.events.length && stream.events[ahead]!.onset <= minute) going.push(stream.events[ahead++]!)
    if (going.length > 0) going = going.filter(({ end }) => end > minute)
    if (watched[minute] === 0) continue
    downX.fill(1)
    workingX.fill(1)
    for (const event of going) applyEvent(stream, event, minute, downX, workingX)
    for (let r = 0; r < regions.length; r++) {
      const level = rate * regionShares[r]! * traffic[minute * regions.length + r]!
      for (let d = 0; d < devices.length; d++) {
        const cell = r * devices.length + d
        const mean = level * deviceShares[d]!
        down[minute * CELLS + cell] = draw(random, mean * downX[cell]!)
        working[minute * CELLS + cell] = draw(random, mean * workingRatio * workingX[cell]!)
      }
    }
  }
}

function applyEvent (stream: Stream, event: SimulatedEvent, minute: number, downX: Float64Array, workingX: Float64Array): void {
  for (let cell = 0; cell < CELLS; cell++) {
    if (event.kind === 'rumour') {
      downX[cell]! *= event.downX
      workingX[cell]! *= event.workingX
    } else if (event.kind === 'outage' && isWithin(stream, event, cell)) {
      downX[cell]! *= 1 + (event.ratio - 1) * grown(event, minute)
      workingX[cell]! *= 1 - event.severity * grown(event, minute)
    }
  }
}

/** Whether an outage hits a cell of its service. */
export function isWithin ({ regions, devices }: Stage, { scope }: Pick<SimulatedOutage, 'scope'>, cell: number): boolean {
  return (scope.region === ALL || scope.region === regions[Math.floor(cell / devices.length)]) &&
    (scope.deviceClass === ALL || scope.deviceClass === devices[cell % devices.length])
}

function addFakes (random: Random, stream: Stream): void {
  for (const event of stream.events) {
    if (event.kind !== 'brigade' && event.kind !== 'sybil') continue
    const cell = event.region * stream.devices.length + event.device
    for (let left = event.reports; left > 0; left--) {
      const minute = whole(random, event.onset, event.end - 1)
      if (stream.watched[minute] === 0) continue
      stream.down[minute * CELLS + cell]!++
      // The first report of each network brings a network, the others none.
      stream.fakes.push({ minute, cell, networks: left <= event.networks ? 1 : 0 })
    }
  }
}
