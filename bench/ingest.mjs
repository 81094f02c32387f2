// How fast single reports come in, beside two rivals in the same run: one that stores nothing, and one INSERT a request.
// `npm run bench:ingest`; ROUNDS, SECONDS and CONNECTIONS say how long and how wide. See load.mjs and rivals.mjs.
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { prepareDatabase } from '../dist/app.js'
import { canConnect } from '../dist/db/client.js'
import { startEmbedded } from '../dist/embedded/postgres.js'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const MEASURED_MS = Number(process.env.SECONDS ?? 5) * 1000
const WARM_UP_MS = 2_000
const CONNECTIONS = Number(process.env.CONNECTIONS ?? 64)
/** Networks that one run may use up. */
const RUN_SPAN = 400_000
/** Node's own flags for each server: those of `npm start`, unless NODE_FLAGS says others. */
const NODE_FLAGS = (process.env.NODE_FLAGS ?? '--max-semi-space-size=32 --single-threaded-gc').split(' ').filter(flag => flag !== '')
const TITLES = {
  ours: 'Groundswell, durable',
  nothing: 'Fastify + zod, stores nothing',
  insert: 'Fastify + zod, one INSERT a request, durable'
}

const here = name => fileURLToPath(new URL(name, import.meta.url))
const folder = await mkdtemp(join(tmpdir(), 'groundswell-bench-'))
await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
const endings = []

/** Starts a server, which is ready once `portOf` finds the port in one of its lines. */
async function start (args, environment, portOf) {
  const child = spawn(process.execPath, [...NODE_FLAGS, ...args], { env: { PATH: process.env.PATH, ...environment }, stdio: ['ignore', 'pipe', 'inherit'] })
  endings.unshift(async () => {
    if (child.exitCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  })
  const port = await new Promise((resolve, reject) => {
    createInterface(child.stdout).on('line', line => {
      const found = portOf(line)
      if (found !== undefined) resolve(found)
    })
    child.once('exit', code => reject(new Error(`${args.join(' ').slice(0, 100)} ended with ${code}`)))
  })
  return { port, pid: child.pid }
}

/** Our service, as it ships: durable, on its embedded database. */
async function startOurs () {
  const dataDir = join(folder, 'ours')
  const server = await start([here('../dist/main.js')], {
    DATA_DIR: dataDir, PORT: '0', LIMIT_REPORTS: '999999999/60', TRUST_PROXY: '127.0.0.0/8'
  }, line => {
    const { msg, address } = JSON.parse(line)
    return msg === 'ready' ? Number(new URL(address).port) : undefined
  })
  return { ...server, connection: { host: dataDir, port: 5432, user: 'groundswell', database: 'groundswell' } }
}

/** One answer of ours: the rivals' are as long. */
async function readSample (port) {
  const response = await fetch(`http://127.0.0.1:${port}/v1/reports`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ service: 'imessage', verdict: 'down' })
  })
  const text = await response.text()
  if (response.status !== 201) throw new Error(`the service answered ${response.status}: ${text}`)
  return text
}

async function startInserts (answer) {
  const embedded = await startEmbedded({ dataDir: join(folder, 'inserts'), isReady: canConnect, log: () => {} })
  endings.unshift(embedded.stop)
  await prepareDatabase({ connection: embedded.connection, owner: embedded.connection }, 30, new Date())
  const server = await start([here('rivals.mjs'), 'insert', answer, JSON.stringify(embedded.connection)], {}, Number)
  return { ...server, connection: embedded.connection, forgetsMarks: true }
}

async function ask (connection, text) {
  const client = new pg.Client(connection)
  await client.connect()
  return client.query(text).then(({ rows }) => rows[0]).finally(() => client.end())
}

/** Processor time that a process has used so far, s; NaN where there is no /proc. */
async function readCpu (pid) {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}

let runs = 0

/** Loads one server, and checks that every 201 is a row. */
async function measure (server) {
  const before = server.connection === undefined ? 0 : await countRows(server)
  const load = fork(here('load.mjs'), [server.port, CONNECTIONS, WARM_UP_MS, MEASURED_MS, runs++ * RUN_SPAN].map(String), { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  const cpu = []
  load.on('message', () => { cpu.push(readCpu(server.pid)) })
  let text = ''
  load.stdout.on('data', chunk => { text += chunk })
  await once(load, 'close')
  const result = JSON.parse(text)
  const [from, to] = await Promise.all(cpu)
  const answered = Object.values(result.statuses).reduce((sum, n) => sum + n, 0)
  if (server.connection !== undefined) {
    const rows = await countRows(server) - before
    if (rows !== result.accepted) throw new Error(`${result.accepted} reports were acknowledged, ${rows} are stored`)
    await settle(server)
  }
  return { ...result, cpuUs: (to - from) * 1e6 / answered, refused: answered - (result.statuses['201'] ?? 0) + result.errors }
}

async function countRows ({ connection }) {
  return (await ask(connection, 'select count(*)::integer as n from reports')).n
}

/** Lets the rollup finish, so that the next run does not pay for this one; a rival has none. */
async function settle ({ connection, forgetsMarks }) {
  if (forgetsMarks) await ask(connection, 'truncate stale_minutes')
  for (let tries = 0; tries < 300 && (await ask(connection, 'select count(*)::integer as n from stale_minutes')).n > 0; tries++) await delay(100)
}

const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
const show = (values, digits) => `${median(values).toFixed(digits)} (${values.map(value => value.toFixed(digits)).join(' ')})`

try {
  const ours = await startOurs()
  const answer = await readSample(ours.port)
  const servers = { ours, nothing: await start([here('rivals.mjs'), 'nothing', answer], {}, Number), insert: await startInserts(answer) }
  const settings = await ask(ours.connection,
    "select current_setting('server_version') as version, current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit")
  console.log(`${cpus()[0].model}, ${cpus().length} cores; Node ${process.version}; PostgreSQL ${settings.version}, fsync ${settings.fsync}, synchronous_commit ${settings.commit}
One report a request over ${CONNECTIONS} connections, answers of ${answer.length} bytes, one process each.
Medians (and every one) of ${ROUNDS} interleaved runs of ${MEASURED_MS / 1000} s.\n`)
  const names = Object.keys(TITLES)
  const results = { ours: [], nothing: [], insert: [] }
  for (let round = 0; round < ROUNDS; round++) {
    // The order turns, so that nobody always follows the same one.
    for (const [i] of names.entries()) {
      const name = names[(i + round) % names.length]
      results[name].push(await measure(servers[name]))
    }
  }
  for (const name of names) {
    const all = (key, digits) => show(results[name].map(result => result[key]), digits)
    console.log(`${TITLES[name]}
  requests/s  ${all('perSecond', 0)}
  p50, p99 ms ${all('p50', 1)}, ${all('p99', 1)}
  not a 201   ${all('refused', 0)}
  processor   ${all('cpuUs', 0)} µs a request; the load's own ${all('busy', 2)} of a core`)
  }
  const ratios = rival => show(results.ours.map(({ perSecond }, i) => perSecond / results[rival][i].perSecond), 2)
  console.log(`
ours / stores nothing        ${ratios('nothing')}   goal 0.5, later 0.75
ours / one INSERT a request  ${ratios('insert')}   goal 4
Every acknowledged report was found in the database.`)
} finally {
  for (const end of endings) await end()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
