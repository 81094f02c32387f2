// What a second worker brings: WORKERS=1 beside WORKERS=2 in the same run, whose processor time a report takes, and the
// ceiling that this sets: of one worker where its thread is always busy, of several where all cores are.
// `npm run bench:workers`; ROUNDS, SECONDS and CONNECTIONS say how long and how wide. Needs redis-server. The load is load.mjs.
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ask, describeMachine, here, median, show, startOurs } from './servers.mjs'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const MEASURED_MS = Number(process.env.SECONDS ?? 5) * 1000
const WARM_UP_MS = 2_000
const CONNECTIONS = Number(process.env.CONNECTIONS ?? 64)
const RUN_SPAN = 400_000
const SITUATIONS = { alone: ['1 worker, in memory', '1', false], one: ['1 worker, Redis', '1', true], two: ['2 workers, Redis', '2', true] }
/** Who works on a report; the load stands for those who report. */
const ROLES = { workers: 'Node, which takes reports', first: 'Node, which hands out connections', postgres: 'PostgreSQL', redis: 'Redis', load: 'the load' }

const folder = await mkdtemp(join(tmpdir(), 'groundswell-bench-'))
await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
/** Redis is ended last: the services count in it. */
const endings = []

async function startRedis () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  const child = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], { stdio: 'ignore' })
  endings.push(async () => {
    if (child.exitCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  })
  return { pid: child.pid, url: `redis://127.0.0.1:${port}` }
}

/** Our service as it ships: durable, on its embedded database. */
async function startService (name, workers, redis) {
  const server = await startOurs(join(folder, name), {
    WORKERS: workers, LIMIT_REPORTS: '999999999/60', TRUST_PROXY: '127.0.0.0/8', ...(redis === undefined ? {} : { REDIS_URL: redis.url })
  })
  endings.unshift(server.stop)
  return { ...server, redis, workers }
}

/** Processor time used so far, and of it in the kernel, s, by role; a service's only process takes reports itself. */
async function readCpu ({ pid, redis, workers }) {
  const processes = new Map()
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => undefined)
    if (stat === undefined) continue
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    processes.set(Number(name), { comm: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')), parent: Number(fields[1]), s: (Number(fields[11]) + Number(fields[12])) / 100, kernel: Number(fields[12]) / 100 })
  }
  const used = Object.fromEntries(Object.keys(ROLES).map(role => [role, { s: 0, kernel: 0 }]))
  const descends = each => each !== undefined && (each.parent === pid || descends(processes.get(each.parent)))
  for (const [id, each] of processes) {
    const role = id === pid ? (workers === '1' ? 'workers' : 'first') : id === redis?.pid ? 'redis' : !descends(each) ? undefined : each.comm === 'postgres' ? 'postgres' : 'workers'
    if (role === undefined) continue
    used[role].s += each.s
    used[role].kernel += each.kernel
  }
  return used
}

let runs = 0
/** Loads one service, and checks that every 201 is a row. */
async function measure (server) {
  const count = table => ask(server.connection, `select count(*)::integer as n from ${table}`).then(([{ n }]) => n)
  const rows = await count('reports')
  const load = fork(here('load.mjs'), [server.port, CONNECTIONS, WARM_UP_MS, MEASURED_MS, runs++ * RUN_SPAN].map(String), { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  const cpu = []
  load.on('message', () => { cpu.push(readCpu(server)) })
  let text = ''
  load.stdout.on('data', chunk => { text += chunk })
  await once(load, 'close')
  const { perSecond, p50, p99, accepted, busy, busyKernel } = JSON.parse(text)
  const [from, to] = await Promise.all(cpu)
  const stored = await count('reports') - rows
  if (stored !== accepted) throw new Error(`${accepted} reports were acknowledged, ${stored} are stored`)
  // The rollup finishes, so that the next run does not pay for this one.
  for (let tries = 0; tries < 300 && await count('stale_minutes') > 0; tries++) await delay(100)
  // Of a measured second; the load tells of itself.
  const cores = Object.fromEntries(Object.keys(ROLES).map(role => [role, { s: (to[role].s - from[role].s) * 1000 / MEASURED_MS, kernel: (to[role].kernel - from[role].kernel) * 1000 / MEASURED_MS }]))
  cores.load = { s: busy, kernel: busyKernel }
  const sum = Object.values(cores).reduce((sum, { s }) => sum + s, 0)
  // Of what is busy all the time more cannot be had: the threads that take reports, and the cores of everybody together.
  const ceiling = Math.min(Number(server.workers) * perSecond / cores.workers.s, cpus().length * perSecond / sum)
  return { perSecond, p50, p99, cores, sum, ceiling, isThread: ceiling < cpus().length * perSecond / sum }
}

try {
  const redis = await startRedis()
  const servers = {}
  for (const [name, [, workers, shared]] of Object.entries(SITUATIONS)) servers[name] = await startService(name, workers, shared ? redis : undefined)
  const names = Object.keys(SITUATIONS)
  const results = Object.fromEntries(names.map(name => [name, []]))
  for (let round = 0; round < ROUNDS; round++) {
    // The order turns, so that nobody always follows the same one.
    for (const [i] of names.entries()) {
      const name = names[(i + round) % names.length]
      results[name].push(await measure(servers[name]))
    }
  }
  console.log(`${await describeMachine(servers.alone.connection)}
One report a request over ${CONNECTIONS} connections; medians (and every one) of ${ROUNDS} interleaved runs of ${MEASURED_MS / 1000} s`)
  for (const name of names) {
    const all = (valueOf, digits) => show(results[name].map(valueOf), digits)
    const micros = role => ({ cores, perSecond }) => 1e6 * cores[role].s / perSecond
    const kernel = role => 100 * median(results[name].map(({ cores }) => cores[role].s === 0 ? 0 : cores[role].kernel / cores[role].s))
    const roles = Object.keys(ROLES).filter(role => results[name].some(({ cores }) => cores[role].s > 0))
    console.log(`\n${SITUATIONS[name][0]}
  requests/s  ${all(({ perSecond }) => perSecond, 0)}
  p50, p99 ms ${all(({ p50 }) => p50, 1)}, ${all(({ p99 }) => p99, 1)}
  processor   ${all(({ sum }) => sum, 2)} of ${cpus().length} cores; µs a report:
${roles.map(role => `    ${ROLES[role].padEnd(34)}${all(micros(role), 0)}, ${kernel(role).toFixed(0)} % of it in the kernel`).join('\n')}
    ${'together'.padEnd(34)}${all(({ sum, perSecond }) => 1e6 * sum / perSecond, 0)}
  ceiling     ${all(({ ceiling }) => ceiling, 0)} requests/s, where ${results[name].filter(({ isThread }) => isThread).length > ROUNDS / 2 ? 'the threads that take reports are' : 'all cores are'} always busy`)
  }
  const ratio = (one, other, key = 'perSecond') => show(results[one].map((result, i) => result[key] / results[other][i][key]), 2)
  console.log(`
2 workers / 1 worker, both with Redis   ${ratio('two', 'one')}   goal 1.6
their ceilings, 2 / 1                   ${ratio('two', 'one', 'ceiling')}   what the processor time of each allows
1 worker with Redis / in memory         ${ratio('one', 'alone')}
Every acknowledged report was found in the database.`)
} finally {
  for (const end of endings) await end()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
