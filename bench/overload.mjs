// Ten times the load and more: `npm run bench:overload`; ROUNDS, SECONDS and HOLD say how long. Goodput beside the maximum
// of 64 connections in the same round, how quickly who is refused hears so, how soon it is over, how long reports wait at
// half of the maximum, and whether memory levels off. Whoever is refused asks again at once, which is worse than people do.
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { VOICE_BYTES } from '../dist/ingest/voice-set.js'
import { ask, describeMachine, here, load, show, startOurs } from './servers.mjs'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const MEASURED_MS = Number(process.env.SECONDS ?? 5) * 1000
/** How long the crowd stays whose memory is watched, s. */
const HOLD_S = Number(process.env.HOLD ?? 60)
const WARM_UP_MS = 2_000
const USUAL = 64
/** Runs at half of the maximum in each round. */
const HALVES = 2
const CROWDS = [640, 2_560, 5_000]
const HELD = 2_560
/** What may lie between two collections more than before, MiB. */
const SLACK_MIB = 96
/** Networks that one run may use up. */
const RUN_SPAN = 400_000

const folder = await mkdtemp(join(tmpdir(), 'groundswell-bench-'))
await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
let service
let started = 0
let runs = 0
let acknowledged = 0

/** A service for each round: each holds its voices for a quarter of an hour, so later ones would find more memory taken. */
async function withService (work) {
  const dataDir = join(folder, String(started++))
  service = await startOurs(dataDir, { LIMIT_REPORTS: '999999999/60', TRUST_PROXY: '127.0.0.0/8' })
  acknowledged = 0
  try {
    if (started === 1) console.log(`${await describeMachine(service.connection)}\nMedians (and every one) of ${ROUNDS} rounds of ${MEASURED_MS / 1000} s each; one report a request.\n`)
    const result = await work()
    const [{ rows }] = await ask(service.connection, 'select count(*)::integer as rows from reports')
    if (rows !== acknowledged) throw new Error(`${acknowledged} reports were acknowledged, ${rows} are stored`)
    return result
  } finally {
    await service.stop()
    await rm(dataDir, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function measure (connections, { warmUpMs = WARM_UP_MS, measuredMs = MEASURED_MS, perSecond } = {}) {
  const more = perSecond === undefined ? [] : [perSecond]
  const result = await load([here('load.mjs'), service.port, connections, warmUpMs, measuredMs, runs++ * RUN_SPAN, ...more], service.pid)
  acknowledged += result.accepted
  if (result.p50 === undefined) throw new Error(`none of ${connections} connections had an answer in ${measuredMs / 1_000} s: ${JSON.stringify(result)}`)
  return { ...result, goodput: (result.statuses['201'] ?? 0) * 1_000 / measuredMs, refused: (result.statuses['503'] ?? 0) * 1_000 / measuredMs }
}

async function measureRound () {
  const usual = await measure(USUAL)
  const halves = []
  for (let i = 0; i < HALVES; i++) halves.push(await measure(USUAL, { perSecond: usual.goodput / 2 }))
  const crowds = []
  for (const connections of CROWDS) {
    const crowd = await measure(connections)
    // From the moment the crowd has gone.
    const after = await measure(USUAL, { warmUpMs: 0, measuredMs: 3_000 })
    crowds.push({ ...crowd, ratio: crowd.goodput / usual.goodput, afterP99: after.p99, afterS: after.slowUntilMs / 1_000 })
  }
  return { usual, halves, crowds }
}

/**
 * The memory of a crowd that stays: the most that was held in each third, MiB, and what the voices of a third take. The
 * first fills what is filled; afterwards only voices may grow, up to their bound, beside what lies between two collections.
 */
async function watchMemory () {
  const held = []
  const watching = setInterval(() => { readMiB().then(MiB => { held.push(MiB) }) }, 250)
  const { goodput } = await measure(HELD, { measuredMs: HOLD_S * 1_000 })
  clearInterval(watching)
  const third = Math.ceil(held.length / 3)
  return { goodput, thirds: [0, 1, 2].map(i => Math.max(...held.slice(i * third, (i + 1) * third))), voices: goodput * HOLD_S * 2 / 3 * VOICE_BYTES / 2 ** 20 }
}

async function readMiB () {
  return Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${service.pid}/status`, 'utf8').catch(() => ''))?.[1]) / 1024
}

try {
  const rounds = []
  for (let round = 0; round < ROUNDS; round++) rounds.push(await withService(measureRound))
  const memory = await withService(watchMemory)
  const all = (valueOf, digits) => show(rounds.map(valueOf), digits)
  const halves = rounds.flatMap(({ halves }) => halves)
  console.log(`${USUAL} connections: ${all(({ usual }) => usual.goodput, 0)}/s acknowledged, p50 ${all(({ usual }) => usual.p50, 1)}, p99 ${all(({ usual }) => usual.p99, 1)} ms
half of that, paced: p50 ${show(halves.map(({ p50 }) => p50), 1)}, p99 ${show(halves.map(({ p99 }) => p99), 1)} ms   goal 50`)
  for (const [i, connections] of CROWDS.entries()) {
    const each = (key, digits) => all(({ crowds }) => crowds[i][key], digits)
    console.log(`${connections} connections
  goodput    ${each('goodput', 0)}/s, ${each('ratio', 2)} of the maximum   goal 0.9
  p50, p99   ${each('p50', 0)}, ${each('p99', 0)} ms; the first answer within ${each('firstP99', 0)} ms (99 % of connections)
  refused    ${each('refused', 0)}/s, within ${each('refusedP99', 0)} ms (p99); broken connections ${each('errors', 0)}
  after it   ${USUAL} connections: p99 of the first three seconds ${each('afterP99', 1)} ms, the last answer above 100 ms after ${each('afterS', 2)} s`)
  }
  const { goodput, thirds: [first, ...later], voices } = memory
  const growth = Math.max(...later) - first
  const levelsOff = growth <= voices + SLACK_MIB
  if (!levelsOff) process.exitCode = 1
  console.log(`memory of ${HELD} connections for ${HOLD_S} s, ${goodput.toFixed(0)}/s: at most ${memory.thirds.map(MiB => MiB.toFixed(0)).join(', ')} MiB in its thirds
  ${growth.toFixed(0)} MiB more than in the first: ${levelsOff ? 'bounded' : 'NOT BOUNDED'} by ${voices.toFixed(0)} of voices (four million at most) and ${SLACK_MIB} between two collections
Every acknowledged report was found in the database, and none that was refused.`)
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
