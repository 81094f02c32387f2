// `npm run bench:detection`: our detector on simulated reports, beside what others use and beside what is possible.
// --ours leaves the others out, for tuning, and draws other streams, so that what is judged was not tuned on; --seed N
// draws yet others; --json prints figures for machines. A full run without --seed draws docs/detection.svg.
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { MINUTE_MS } from '../../src/core/time.ts'
import { judgeStream } from './ours.ts'
import { findOutage, waitInVain } from './oracle.ts'
import { calibrate, type Judge, type Peer } from './peers/alarms.ts'
import { seasonalCusum } from './peers/cusum.ts'
import { earsC2 } from './peers/ears.ts'
import { farrington } from './peers/farrington.ts'
import { fixedCount } from './peers/fixed.ts'
import { timeOfDayRatio } from './peers/ratio.ts'
import { drawDetection } from './picture.ts'
import { addTallies, figuresOf, scoreStream, type Alarm, type Tally, type Truth } from './scores.ts'
import { eventfulStreams, quietStreams, RATES, START, type Stream } from './streams.ts'
import { sumOf, tables, type Row } from './table.ts'

const PEERS: Peer[] = [fixedCount, timeOfDayRatio, earsC2, farrington, seasonalCusum]

/** The streams that figures are published of. Tune on any others. */
const JUDGED_SEED = 2013
const TUNED_SEED = 1
/** Sets of quiet services that thresholds are set on, and as many that are judged: false alarms are few. */
const QUIET_SETS = 2
const PICTURE = new URL('../../../docs/detection.svg', import.meta.url)   // from dist-bench/bench/detection

const { values: options } = parseArgs({
  options: { ours: { type: 'boolean', default: false }, json: { type: 'boolean', default: false }, seed: { type: 'string' } }
})
const seed = Number(options.seed ?? (options.ours ? TUNED_SEED : JUDGED_SEED))
if (!Number.isInteger(seed) || seed < 0) throw new Error(`--seed ${options.seed}: expected a whole number from 0 on.`)
/** Streams that set thresholds, and streams that decide nothing. */
const sets = Array.from({ length: options.ours ? 1 : QUIET_SETS }, (_, set) => set)
const calibrationSeeds = sets.map(set => 1_000_000 * (2 * set + 1) + seed)
const testSeeds = sets.map(set => 1_000_000 * (2 * set) + seed)
const peers = options.ours ? [] : PEERS
const startedAt = performance.now()

/** What one detector's alarms came to, by the service's rate. */
interface Scored { quiet: Map<number, Tally[]>, eventful: Map<number, Tally[]> }
const newScored = (): Scored => ({ quiet: new Map(RATES.map(rate => [rate, []])), eventful: new Map(RATES.map(rate => [rate, []])) })

function truthOf (stream: Stream): Truth {
  const at = (minute: number): number => START + minute * MINUTE_MS
  const events = stream.events.map(event => ({ ...event, onset: at(event.onset), end: at(event.end) }))
  return {
    from: at(stream.testFrom),
    to: at(stream.minutes),
    outages: events.filter(event => event.kind === 'outage'),
    distractions: events.filter(event => event.kind !== 'outage')
  }
}

/** Alarms that rise at the end of these minutes. */
function alarmsAt (minutes: readonly number[]): Alarm[] {
  return minutes.map(minute => ({ at: START + (minute + 1) * MINUTE_MS }))
}

function totalOf ({ minutes, down, watched }: Stream): { down: Uint16Array, watched: Uint8Array } {
  const cells = down.length / minutes
  const total = new Uint16Array(minutes)
  for (let at = 0; at < down.length; at++) total[Math.floor(at / cells)]! += down[at]!
  return { down: total, watched }
}

let said = ''
function progress (what: string, done: number, of: number): void {
  if (!process.stderr.isTTY) return
  process.stderr.write(`\r${' '.repeat(said.length)}\r${said = done < of ? `${what} ${done}/${of}` : ''}`)
}

/** Thresholds that give as many false alarms on quiet streams as ours suspects. */
function setThresholds (): { perMonth: number, oracle: number, peers: number[] } {
  const ours: Tally[] = []
  const truths: Truth[] = []
  const oracle: Judge[] = []
  const judges: Judge[][] = peers.map(() => [])
  for (const calibrationSeed of calibrationSeeds) {
    for (const stream of quietStreams(calibrationSeed)) {
      const truth = truthOf(stream)
      truths.push(truth)
      ours.push(scoreStream(truth, judgeStream(stream).suspected))
      oracle.push(waitInVain(stream, calibrationSeed))
      const total = totalOf(stream)
      peers.forEach(({ prepare }, index) => judges[index]!.push(prepare(total)))
      progress('setting thresholds', truths.length, sets.length * 3 * RATES.length)
    }
  }
  const { falseAlarms, months } = addTallies(ours)
  const perMonth = Math.max(1, falseAlarms) / months
  const thresholdOf = (judges: readonly Judge[]): number => calibrate(threshold =>
    addTallies(judges.map((judge, index) => scoreStream(truths[index]!, alarmsAt(judge(threshold))))), perMonth)
  return { perMonth, oracle: thresholdOf(oracle), peers: judges.map(thresholdOf) }
}

const thresholds = setThresholds()
const suspected = newScored()
const confirmed = newScored()
const oracle = newScored()
const others = peers.map(newScored)

function scoreOne (kind: keyof Scored, stream: Stream, testSeed: number): void {
  const truth = truthOf(stream)
  const note = (scored: Scored, alarms: readonly Alarm[]): void => { scored[kind].get(stream.rate)!.push(scoreStream(truth, alarms)) }
  const ours = judgeStream(stream)
  note(suspected, ours.suspected)
  note(confirmed, ours.confirmed)
  const total = totalOf(stream)
  peers.forEach(({ prepare }, index) => { note(others[index]!, alarmsAt(prepare(total)(thresholds.peers[index]!))) })
  if (kind === 'quiet') return note(oracle, alarmsAt(waitInVain(stream, testSeed)(thresholds.oracle)))
  const found = stream.events.flatMap(event => event.kind === 'outage' && event.onset >= stream.testFrom ? findOutage(stream, event, thresholds.oracle) ?? [] : [])
  note(oracle, alarmsAt(found))
}

let done = 0
for (const testSeed of testSeeds) {
  for (const stream of quietStreams(testSeed)) {
    scoreOne('quiet', stream, testSeed)
    progress('quiet services', ++done, sets.length * 3 * RATES.length)
  }
}
done = 0
for (const stream of eventfulStreams(seed)) {
  scoreOne('eventful', stream, seed)
  progress('services with outages', ++done, 2 * RATES.length)
}

const rows: Row[] = [
  { name: 'Groundswell, suspected', kind: 'ours', ...suspected },
  { name: 'Groundswell, confirmed', kind: 'ours', ...confirmed },
  ...peers.map(({ name }, index) => ({ name, kind: 'peer' as const, ...others[index]! })),
  { name: 'oracle', kind: 'oracle', ...oracle }
]
if (options.json) {
  const figures = rows.map(({ name, quiet, eventful }) => ({ name, falseAlarmsPerQuietMonth: figuresOf(sumOf(quiet)).falseAlarmsPerMonth, ...figuresOf(sumOf(eventful)) }))
  process.stdout.write(`${JSON.stringify({ seed, thresholds, figures }, null, 2)}\n`)
} else {
  const set = [['oracle', thresholds.oracle] as const, ...peers.map(({ name }, index) => [name, thresholds.peers[index]!] as const)]
  process.stdout.write(`${tables(rows)}\nThresholds, set on other quiet streams to the ${thresholds.perMonth.toFixed(2)} alarms a month that ours suspects there: ${
    set.map(([name, threshold]) => `${name} ${threshold.toPrecision(3)}`).join(', ')}.\n${
    peers.map(({ name, source }) => `${name}: after ${source}.\n`).join('')}Seed ${seed}; ${((performance.now() - startedAt) / 1000).toFixed(0)} s.\n`)
}

if (!options.ours && seed === JUDGED_SEED) {
  const perMonth = (kind: Row['kind'], digits: number): string[] => rows.filter(row => row.kind === kind)
    .map(({ quiet }) => figuresOf(sumOf(quiet)).falseAlarmsPerMonth.toFixed(digits))
  const others = perMonth('peer', 1).sort()
  const note = `False alarms a month of a quiet service: suspected ${perMonth('ours', 1)[0]}, confirmed ${perMonth('ours', 1)[1]}, the others ${others[0]} to ${others.at(-1)
  }. The oracle knows every true rate.`
  await writeFile(PICTURE, drawDetection(rows.map(({ name, kind, eventful }) => ({ name, kind, tally: sumOf(eventful) })), note))
}
