// What a second worker brings: WORKERS=1 beside WORKERS=2 in the same run, and whose processor time a report takes.
// `npm run bench:workers`; ROUNDS, SECONDS and CONNECTIONS say how long and how wide. Needs redis-server. The load is load.mjs.
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const MEASURED_MS = Number(process.env.SECONDS ?? 5) * 1000
const WARM_UP_MS = 2_000
const CONNECTIONS = Number(process.env.CONNECTIONS ?? 64)
const RUN_SPAN = 400_000
const NODE_FLAGS = ['--max-semi-space-size=32', '--single-threaded-gc']
const SITUATIONS = { alone: ['1 worker, in memory', '1', false], one: ['1 worker, Redis', '1', true], two: ['2 workers, Redis', '2', true] }

const here = name => fileURLToPath(new URL(name, import.meta.url))
const folder = await mkdtemp(join(tmpdir(), 'groundswell-bench-'))
await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
const children = []

async function startRedis () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  const child = spawn('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], { stdio: 'ignore' })
  children.push(child)
  return { pid: child.pid, url: `redis://127.0.0.1:${port}` }
}

/** Our service as it ships: durable, on its embedded database. */
async function startService (name, workers, redis) {
  const dataDir = join(folder, name)
  const child = spawn(process.execPath, [...NODE_FLAGS, here('../dist/main.js')], {
    env: { PATH: process.env.PATH, DATA_DIR: dataDir, PORT: '0', WORKERS: workers, LIMIT_REPORTS: '999999999/60', TRUST_PROXY: '127.0.0.0/8', ...(redis === undefined ? {} : { REDIS_URL: redis.url }) },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  children.unshift(child)
  const address = await new Promise((resolve, reject) => {
    createInterface(child.stdout).on('line', line => {
      const { msg, address } = JSON.parse(line)
      if (msg === 'ready') resolve(address)
    })
    child.once('exit', code => reject(new Error(`the service ended with ${code}`)))
  })
  return { port: new URL(address).port, pid: child.pid, redis, connection: { host: dataDir, port: 5432, user: 'groundswell', database: 'groundswell' } }
}

/** Processor time used so far, s, by role: of the service's process, of all below it, and of Redis. */
async function readCpu ({ pid, redis }) {
  const processes = new Map()
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => undefined)
    if (stat === undefined) continue
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    processes.set(Number(name), { comm: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')), parent: Number(fields[1]), s: (Number(fields[11]) + Number(fields[12])) / 100 })
  }
  const used = { service: processes.get(pid)?.s ?? NaN, redis: redis === undefined ? 0 : processes.get(redis.pid)?.s ?? NaN, workers: 0, postgres: 0 }
  const descends = each => each !== undefined && (each.parent === pid || descends(processes.get(each.parent)))
  for (const each of processes.values()) {
    if (descends(each)) used[each.comm === 'postgres' ? 'postgres' : 'workers'] += each.s
  }
  return used
}

async function ask ({ connection }, text) {
  const client = new pg.Client(connection)
  await client.connect()
  return client.query(text).then(({ rows }) => rows[0].n).finally(() => client.end())
}

let runs = 0
/** Loads one service, and checks that every 201 is a row. */
async function measure (server) {
  const rows = await ask(server, 'select count(*)::integer as n from reports')
  const load = fork(here('load.mjs'), [server.port, CONNECTIONS, WARM_UP_MS, MEASURED_MS, runs++ * RUN_SPAN].map(String), { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  const cpu = []
  load.on('message', () => { cpu.push(readCpu(server)) })
  let text = ''
  load.stdout.on('data', chunk => { text += chunk })
  await once(load, 'close')
  const { perSecond, p50, p99, accepted, busy } = JSON.parse(text)
  const [from, to] = await Promise.all(cpu)
  const stored = await ask(server, 'select count(*)::integer as n from reports') - rows
  if (stored !== accepted) throw new Error(`${accepted} reports were acknowledged, ${stored} are stored`)
  // The rollup finishes, so that the next run does not pay for this one.
  for (let tries = 0; tries < 300 && await ask(server, 'select count(*)::integer as n from stale_minutes') > 0; tries++) await delay(100)
  const cores = Object.fromEntries(Object.keys(to).map(role => [role, (to[role] - from[role]) * 1000 / MEASURED_MS]))
  return { perSecond, p50, p99, ...cores, load: busy, sum: Object.values(cores).reduce((sum, each) => sum + each, busy) }
}

const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
const show = (values, digits) => `${median(values).toFixed(digits)} (${values.map(value => value.toFixed(digits)).join(' ')})`

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
  console.log(`${cpus().length} cores (${cpus()[0].model}), Node ${process.version}; one report a request over ${CONNECTIONS} connections; medians (and every one) of ${ROUNDS} interleaved runs of ${MEASURED_MS / 1000} s`)
  for (const name of names) {
    const all = (key, digits) => show(results[name].map(result => result[key]), digits)
    const of = key => median(results[name].map(result => result[key]))
    console.log(`\n${SITUATIONS[name][0]}
  requests/s  ${all('perSecond', 0)}
  p50, p99 ms ${all('p50', 1)}, ${all('p99', 1)}
  cores       ${all('sum', 2)}: first process ${of('service').toFixed(2)}, workers ${of('workers').toFixed(2)}, PostgreSQL ${of('postgres').toFixed(2)}, Redis ${of('redis').toFixed(2)}, load ${of('load').toFixed(2)}
  a report    ${(1e6 * median(results[name].map(({ sum, perSecond }) => sum / perSecond))).toFixed(0)} µs of processor, of everybody together`)
  }
  const ratio = (one, other) => show(results[one].map(({ perSecond }, i) => perSecond / results[other][i].perSecond), 2)
  // One worker ends where its thread is busy all the time; two where everybody's time together fills the cores.
  const bound = show(results.two.map(({ sum, perSecond }, i) => cpus().length * perSecond / sum / (results.one[i].perSecond / results.one[i].service)), 2)
  console.log(`
2 workers / 1 worker, both with Redis   ${ratio('two', 'one')}   goal 1.6
by the processor time of each, at most  ${bound}   ${cpus().length} cores for everybody / one for one worker's thread
1 worker with Redis / in memory         ${ratio('one', 'alone')}
Every acknowledged report was found in the database.`)
} finally {
  for (const child of children) {
    if (child.exitCode !== null) continue
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
