// The evening of 18 November 2012 and the four quiet weeks before it, as data: who reports what, when and from where.
// Simulated people, the same for the same seed. Nothing is sent, timed or judged here; that is demo.ts. What Apple's page
// shows meanwhile is apple-page.ts.
import { DAY_MS, HOUR_MS, MINUTE_MS } from './core/time.ts'
import type { Impact, Verdict } from './core/vocabulary.ts'

/** The demonstration tells its times on the clocks of this zone: the evening crosses midnight UTC. */
export const ZONE = 'America/New_York'

/** The evening's moments, ms. Their order and distances are that evening's; the minutes are the story's. */
export const EVENING = {
  /** The service begins to watch. */
  startsAt: Date.parse('2012-11-18T18:15:00-05:00'),
  /** iMessage and FaceTime begin to fail, for a few at first. */
  failsAt: Date.parse('2012-11-18T18:48:00-05:00'),
  /** Apple's page says so. */
  admittedAt: Date.parse('2012-11-18T21:40:00-05:00'),
  /** Apple's page is green again; for some they still fail. */
  greenAt: Date.parse('2012-11-18T23:05:00-05:00'),
  /** They work for everybody again. */
  worksAt: Date.parse('2012-11-19T00:20:00-05:00'),
  endsAt: Date.parse('2012-11-19T01:15:00-05:00')
} as const

/** What the evening is about. */
export const FAILING = 'imessage'
/** What fails together with it. */
export const ALSO_FAILING = 'facetime'

/** How long the quiet history is. */
export const HISTORY_DAYS = 28

/** One simulated person's word. */
export interface SimulatedReport {
  /** When it is sent, ms. */
  at: number
  service: string
  verdict: Verdict
  region: string
  deviceClass: string
  symptom: string | undefined
  impact: Impact | undefined
  /** Where it comes from: of ranges that are never routed. */
  address: string
  userAgent: string
}

type Weights = readonly (readonly [name: string, weight: number])[]

/** A service as people live with it. `perHour`: reports of failure on an average hour of a quiet day. */
interface Habit { service: string, perHour: number, devices: Weights, symptoms: Weights }

const APPLE: Weights = [['iphone', 56], ['ipad-wifi', 14], ['ipad-cellular', 7], ['mac', 21], ['unknown', 2]]
const EVERYWHERE: Weights = [['iphone', 30], ['android', 28], ['windows', 20], ['mac', 12], ['ipad-wifi', 5], ['web', 5]]

const HABITS: readonly Habit[] = [
  { service: FAILING, perHour: 14, devices: APPLE, symptoms: [['sending', 6], ['receiving', 3], ['activation', 2], ['slow', 2]] },
  { service: ALSO_FAILING, perHour: 8, devices: APPLE, symptoms: [['calls', 6], ['activation', 2], ['slow', 1]] },
  { service: 'icloud-mail', perHour: 7, devices: APPLE, symptoms: [['receiving', 4], ['sending', 3], ['signing-in', 2]] },
  { service: 'app-store', perHour: 6, devices: APPLE, symptoms: [['loading', 3], ['signing-in', 2]] },
  { service: 'whatsapp', perHour: 9, devices: [['iphone', 40], ['android', 58], ['unknown', 2]], symptoms: [['sending', 4], ['receiving', 3]] },
  { service: 'github', perHour: 4, devices: [['mac', 45], ['windows', 35], ['web', 20]], symptoms: [['slow', 3], ['signing-in', 1]] },
  { service: 'aws', perHour: 3, devices: [['mac', 40], ['windows', 45], ['web', 15]], symptoms: [['slow', 2], ['signing-in', 1]] },
  { service: 'youtube', perHour: 9, devices: EVERYWHERE, symptoms: [['playback', 5], ['signing-in', 1]] }
]

/** The services that people report about in the quiet weeks and through the evening. */
export const SERVICES: readonly string[] = HABITS.map(({ service }) => service)

/** Where people are, how many, and their clocks' distance from UTC in hours, standard time. */
const REGIONS: readonly (readonly [region: string, weight: number, utcOffset: number])[] = [
  ['US-CA', 17, -8], ['US-WA', 4, -8], ['US-TX', 12, -6], ['US-IL', 7, -6], ['US-NY', 14, -5], ['US-FL', 8, -5],
  ['US-MA', 5, -5], ['CA-ON', 9, -5], ['CA-QC', 4, -5], ['CA-BC', 3, -8], ['MX', 8, -6], ['BR', 9, -3]
]

/** Of ten people who report on a quiet day: some trouble of their own, or the news that all is well. */
const QUIET_VERDICTS: readonly (readonly [Verdict, number])[] = [['down', 58], ['degraded', 14], ['working', 28]]
const FAILING_VERDICTS: readonly (readonly [Verdict, number])[] = [['down', 86], ['degraded', 14]]
/** What fails, in the evening: `share` is how many report it for each who reports that iMessage fails. */
interface Failure { service: string, share: number, symptoms: Weights }
const FAILURES: readonly Failure[] = [
  { service: FAILING, share: 1, symptoms: [['sending', 9], ['receiving', 4], ['activation', 5], ['signing-in', 1]] },
  { service: ALSO_FAILING, share: 0.5, symptoms: [['calls', 9], ['activation', 5], ['signing-in', 1]] }
]

/** Can they carry on? An iPhone sends SMS, or calls; a wifi-only iPad has nothing, nor have most Macs. */
const IMPACTS: Readonly<Record<string, readonly (readonly [Impact, number])[]>> = {
  iphone: [['workaround', 88], ['blocked', 12]],
  'ipad-cellular': [['blocked', 1]],
  'ipad-wifi': [['blocked', 1]],
  mac: [['blocked', 93], ['workaround', 7]]
}

/** Reports that iMessage fails a minute, minutes after `failsAt`; straight lines between. That Apple admits it makes more people look. */
const FAILING_PER_MINUTE: readonly (readonly [minute: number, rate: number])[] = [
  [0, 0], [10, 1], [25, 3.5], [50, 9], [90, 18], [172, 23], [182, 33], [200, 29], [230, 19], [250, 13], [265, 11.5], [300, 10], [323, 9], [332, 0]
]
/** While something fails people whom it does not hit look and say so: this many a report of failure. */
const WORKS_FOR_ME = 0.16
/** Reports sent again a moment later, by those who do not trust the first. */
const IMPATIENT = 0.05
/** iPhones behind a carrier's address that many share. */
const BEHIND_CARRIER = 0.06
const CARRIER_ADDRESSES = 8

/** Numbers in [0, 1), the same for the same seed. */
type Chance = () => number

/**
 * The quiet weeks before the evening, ascending by minute: `days` days up to its start.
 * As history a relay sends them, whose pseudonyms the addresses stand for.
 */
export function * quietWeeks (seed: number, days: number = HISTORY_DAYS): Generator<SimulatedReport, void, undefined> {
  yield * background(seed, EVENING.startsAt - days * DAY_MS, EVENING.startsAt)
}

/** The evening itself, ascending by time: what is always said, and those for whom something fails. */
export function simulateEvening (seed: number): SimulatedReport[] {
  const reports = [
    ...background(seed + 1, EVENING.startsAt, EVENING.endsAt),
    ...FAILURES.flatMap((failure, index) => failing(failure, seed + 2 + index))
  ]
  return reports.sort((a, b) => a.at - b.at)
}

/** What people report on any day: by the hour of their own day, and by no more than chance. */
function * background (seed: number, from: number, to: number): Generator<SimulatedReport, void, undefined> {
  const chance = seeded(seed)
  let hour = -1
  let moods: number[] = []
  for (let minute = from; minute < to; minute += MINUTE_MS) {
    if (Math.floor(minute / HOUR_MS) !== hour) {
      hour = Math.floor(minute / HOUR_MS)
      // Some hours are a little livelier than others, and nobody knows why.
      moods = HABITS.map(() => 0.85 + 0.3 * chance())
    }
    const awake = wakefulness(minute)
    for (const [index, habit] of HABITS.entries()) {
      // `perHour` counts failures, so all reports are more by those that say it works.
      const rate = habit.perHour / 60 / 0.72 * awake * moods[index]!
      for (let count = poisson(rate, chance); count > 0; count--) yield quietReport(habit, minute, chance)
    }
  }
}

function quietReport (habit: Habit, minute: number, chance: Chance): SimulatedReport {
  const verdict = pick(QUIET_VERDICTS, chance)
  const deviceClass = pick(habit.devices, chance)
  return {
    at: minute + chance() * MINUTE_MS,
    service: habit.service,
    verdict,
    region: placeOf(minute, chance),
    deviceClass,
    symptom: verdict === 'working' ? undefined : pick(habit.symptoms, chance),
    impact: undefined,
    address: addressOf(chance),
    userAgent: userAgentOf(deviceClass)
  }
}

/** Those for whom it fails, those whom it spares and who say so, and those who press twice. */
function failing (failure: Failure, seed: number): SimulatedReport[] {
  const chance = seeded(seed)
  const reports: SimulatedReport[] = []
  for (let minute: number = EVENING.failsAt; minute < EVENING.worksAt; minute += MINUTE_MS) {
    const rate = failure.share * failingRate((minute - EVENING.failsAt) / MINUTE_MS)
    for (let count = poisson(rate, chance); count > 0; count--) {
      const report = failingReport(failure, minute, chance)
      reports.push(report)
      if (chance() < IMPATIENT) reports.push({ ...report, at: report.at + (0.3 + 3 * chance()) * MINUTE_MS })
    }
    for (let count = poisson(rate * WORKS_FOR_ME, chance); count > 0; count--) {
      reports.push({ ...failingReport(failure, minute, chance), verdict: 'working', symptom: undefined, impact: 'none' })
    }
  }
  return reports
}

function failingReport ({ service, symptoms }: Failure, minute: number, chance: Chance): SimulatedReport {
  const deviceClass = pick(APPLE, chance)
  const impacts = IMPACTS[deviceClass]
  const shared = deviceClass === 'iphone' && chance() < BEHIND_CARRIER
  return {
    at: minute + chance() * MINUTE_MS,
    service,
    verdict: pick(FAILING_VERDICTS, chance),
    region: placeOf(minute, chance),
    deviceClass,
    symptom: pick(symptoms, chance),
    impact: impacts === undefined ? undefined : pick(impacts, chance),
    address: shared ? `198.51.100.${1 + Math.floor(chance() * CARRIER_ADDRESSES)}` : addressOf(chance),
    userAgent: userAgentOf(deviceClass)
  }
}

/** Reports that iMessage fails a minute, some minutes into it. */
function failingRate (minute: number): number {
  for (let i = 1; i < FAILING_PER_MINUTE.length; i++) {
    const [to, high] = FAILING_PER_MINUTE[i]!
    const [from, low] = FAILING_PER_MINUTE[i - 1]!
    if (minute <= to) return low + (high - low) * (minute - from) / (to - from)
  }
  return 0
}

/** How lively the Americas are at a moment, 1 on the average of a day. */
function wakefulness (at: number): number {
  const total = REGIONS.reduce((sum, [, weight]) => sum + weight, 0)
  return REGIONS.reduce((sum, [, weight, offset]) => sum + weight * liveliness(at, offset), 0) / total
}

/** By the local hour: least at five in the morning, most in the evening; the average of a day is 1. */
function liveliness (at: number, utcOffset: number): number {
  const hour = (at / HOUR_MS + utcOffset) % 24
  const turn = (peak: number, times: number) => Math.cos((hour - peak) / 24 * 2 * Math.PI * times)
  return 1 + 0.62 * turn(18, 1) + 0.16 * turn(20, 2)
}

/** A region, by how many people are awake there. */
function placeOf (at: number, chance: Chance): string {
  return pick(REGIONS.map(([region, weight, offset]) => [region, weight * liveliness(at, offset)] as const), chance)
}

/** Of RFC 6598's shared range, or of RFC 3849's documentation range: some eighty thousand networks. */
function addressOf (chance: Chance): string {
  const below = (bound: number) => Math.floor(chance() * bound)
  if (chance() < 0.7) return `100.${64 + below(64)}.${below(256)}.${1 + below(254)}`
  return `2001:db8:${below(65_536).toString(16)}::${(1 + below(65_535)).toString(16)}`
}

const USER_AGENTS: Readonly<Record<string, string>> = {
  iphone: 'Mozilla/5.0 (iPhone; CPU iPhone OS 6_0_1 like Mac OS X)',
  'ipad-wifi': 'Mozilla/5.0 (iPad; CPU OS 6_0_1 like Mac OS X)',
  'ipad-cellular': 'Mozilla/5.0 (iPad; CPU OS 6_0_1 like Mac OS X)',
  mac: 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_8_2)',
  android: 'Mozilla/5.0 (Linux; Android 4.1.2)'
}

function userAgentOf (deviceClass: string): string {
  return USER_AGENTS[deviceClass] ?? 'Mozilla/5.0 (Windows NT 6.1)'
}

function pick<Name> (weights: readonly (readonly [Name, number])[], chance: Chance): Name {
  let left = chance() * weights.reduce((sum, [, weight]) => sum + weight, 0)
  for (const [name, weight] of weights) {
    left -= weight
    if (left < 0) return name
  }
  return weights.at(-1)![0]
}

/** Knuth's way (TAOCP 3.4.1 F.3): as many as uniform numbers can be multiplied before e^−rate; for rates below some hundreds. */
function poisson (rate: number, chance: Chance): number {
  const floor = Math.exp(-rate)
  let count = 0
  for (let product = chance(); product > floor; product *= chance()) count++
  return count
}

/** Mulberry32: 32 bits of state are plenty for a story. */
function seeded (seed: number): Chance {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
