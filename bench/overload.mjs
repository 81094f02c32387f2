// Ten times the load and more: `npm run bench:overload`; ROUNDS and SECONDS say how long. Goodput beside the maximum of
// 64 connections in the same round, how quickly who is refused hears so, memory, and how soon it is over; and how long
// reports wait at half of the maximum. Whoever is refused asks again at once, which is worse than people do.
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ask, describeMachine, here, load, show, startOurs } from './servers.mjs'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const MEASURED_MS = Number(process.env.SECONDS ?? 5) * 1000
const WARM_UP_MS = 2_000
const USUAL = 64
const CROWDS = [640, 2_560, 5_000]
/** Networks that one run may use up. */
const RUN_SPAN = 400_000

const folder = await mkdtemp(join(tmpdir(), 'groundswell-bench-'))
await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
const service = await startOurs(join(folder, 'ours'), { LIMIT_REPORTS: '999999999/60', TRUST_PROXY: '127.0.0.0/8' })
let runs = 0
let acknowledged = 0

async function measure (connections, { warmUpMs = WARM_UP_MS, measuredMs = MEASURED_MS, perSecond } = {}) {
  const more = perSecond === undefined ? [] : [perSecond]
  const result = await load([here('load.mjs'), service.port, connections, warmUpMs, measuredMs, runs++ * RUN_SPAN, ...more], service.pid)
  acknowledged += result.accepted
  return { ...result, goodput: (result.statuses['201'] ?? 0) * 1_000 / measuredMs, refused: (result.statuses['503'] ?? 0) * 1_000 / measuredMs }
}

async function readMiB () {
  return Number(/^VmRSS:\s+(\d+)/m.exec(await readFile(`/proc/${service.pid}/status`, 'utf8').catch(() => ''))?.[1]) / 1024
}

try {
  console.log(`${await describeMachine(service.connection)}
Medians (and every one) of ${ROUNDS} rounds of ${MEASURED_MS / 1000} s each; one report a request.\n`)
  const rounds = []
  for (let round = 0; round < ROUNDS; round++) {
    const usual = await measure(USUAL)
    const half = await measure(USUAL, { perSecond: usual.goodput / 2 })
    const crowds = []
    for (const connections of CROWDS) {
      const crowd = await measure(connections)
      // From the moment the crowd has gone: the first second of the usual load.
      const after = await measure(USUAL, { warmUpMs: 0, measuredMs: 1_000 })
      crowds.push({ ...crowd, ratio: crowd.goodput / usual.goodput, afterP99: after.p99, MiB: await readMiB() })
    }
    rounds.push({ usual, half, crowds })
  }
  const all = (valueOf, digits) => show(rounds.map(valueOf), digits)
  console.log(`${USUAL} connections: ${all(({ usual }) => usual.goodput, 0)}/s acknowledged, p50 ${all(({ usual }) => usual.p50, 1)}, p99 ${all(({ usual }) => usual.p99, 1)} ms
half of that, paced: p50 ${all(({ half }) => half.p50, 1)}, p99 ${all(({ half }) => half.p99, 1)} ms   goal 50`)
  for (const [i, connections] of CROWDS.entries()) {
    const each = (key, digits) => all(({ crowds }) => crowds[i][key], digits)
    console.log(`${connections} connections
  goodput    ${each('goodput', 0)}/s, ${each('ratio', 2)} of the maximum   goal 0.9
  p50, p99   ${each('p50', 0)}, ${each('p99', 0)} ms
  refused    ${each('refused', 0)}/s, within ${each('refusedP99', 0)} ms (p99); broken connections ${each('errors', 0)}
  memory     ${each('MiB', 0)} MiB afterwards
  the first second after it, ${USUAL} connections: p99 ${each('afterP99', 1)} ms`)
  }
  const [{ rows }] = await ask(service.connection, 'select count(*)::integer as rows from reports')
  if (rows !== acknowledged) throw new Error(`${acknowledged} reports were acknowledged, ${rows} are stored`)
  console.log('Every acknowledged report was found in the database, and none that was refused.')
} finally {
  await service.stop()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
