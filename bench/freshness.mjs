// How soon a report is in the public curve while others come in as fast as they are taken: `npm run bench:freshness`;
// ROUNDS, SECONDS and CONNECTIONS say how long and how wide. The load is load.mjs, who asks is prober.mjs.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ask, describeMachine, here, load, median, readCpu, startOurs } from './servers.mjs'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const MEASURED_MS = Number(process.env.SECONDS ?? 25) * 1000
const WARM_UP_MS = 2_000
const CONNECTIONS = Number(process.env.CONNECTIONS ?? 64)
const GOAL_MS = 5_000
/** Networks that one run of the load may use up, and reports that the prober may send. */
const [RUN_SPAN, PROBES] = [1_600_000, 2_000]

const folder = await mkdtemp(join(tmpdir(), 'groundswell-bench-'))
await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
const endings = []
const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]
const tell = (values) => {
  const sorted = [...values].sort((a, b) => a - b)
  return [0.5, 0.99, 1].map(share => (at(sorted, share) / 1000).toFixed(2)).join('  ')
}

async function probe (port, round) {
  const child = fork(here('prober.mjs'), [port, MEASURED_MS, round * PROBES].map(String), { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  let text = ''
  child.stdout.on('data', chunk => { text += chunk })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`the prober ended with ${code}`)
  return JSON.parse(text)
}

try {
  const ours = await startOurs(join(folder, 'ours'), { LIMIT_REPORTS: '999999999/60', LIMIT_READS: '999999999/60', TRUST_PROXY: '127.0.0.0/8' })
  endings.unshift(ours.stop)
  console.log(`${await describeMachine(ours.connection)}
A report of a quiet service each 200 ms, seconds from its answer to the curve that counts it; ${ROUNDS} runs of ${MEASURED_MS / 1000} s.

                       reports  p50   p99   max  s`)
  const idle = await probe(ours.port, 0)
  console.log(`nobody else            ${String(idle.lags.length).padStart(7)}  ${tell(idle.lags)}`)
  const all = []
  for (let round = 0; round < ROUNDS; round++) {
    const loading = load([here('load.mjs'), ours.port, CONNECTIONS, WARM_UP_MS, MEASURED_MS, round * RUN_SPAN], ours.pid)
    await delay(WARM_UP_MS)
    const cpu = await readCpu(ours.pid)
    const { lags, answered } = await probe(ours.port, round + 1)
    const { perSecond, errors, statuses } = await loading
    all.push(lags)
    console.log(`${`${perSecond.toFixed(0)} reports/s`.padEnd(23)}${String(lags.length).padStart(7)}  ${tell(lags)}   answered in ${tell(answered)} s, not a 201 ${errors + Object.entries(statuses).reduce((sum, [status, n]) => sum + (status === '201' ? 0 : n), 0)}, processor ${((await readCpu(ours.pid) - cpu) * 1000 / MEASURED_MS).toFixed(2)}`)
    for (let tries = 0; tries < 300 && (await ask(ours.connection, 'select 1 from stale_minutes limit 1')).length > 0; tries++) await delay(100)
  }
  const p99s = all.map(lags => at([...lags].sort((a, b) => a - b), 0.99))
  console.log(`\np99 ${(median(p99s) / 1000).toFixed(2)} s (${p99s.map(ms => (ms / 1000).toFixed(2)).join(' ')})   goal at most ${GOAL_MS / 1000}`)
} finally {
  for (const end of endings) await end()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
