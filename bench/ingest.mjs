// How fast single reports come in, beside two rivals in the same run: one that stores nothing, and one INSERT a request.
// `npm run bench:ingest`; ROUNDS, SECONDS and CONNECTIONS say how long and how wide. See load.mjs and rivals.mjs.
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { prepareDatabase } from '../dist/app.js'
import { canConnect } from '../dist/db/client.js'
import { startEmbedded } from '../dist/embedded/postgres.js'
import { ask, describeMachine, here, load, show, start, startOurs } from './servers.mjs'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const MEASURED_MS = Number(process.env.SECONDS ?? 5) * 1000
const WARM_UP_MS = 2_000
const CONNECTIONS = Number(process.env.CONNECTIONS ?? 64)
/** Networks that one run may use up. */
const RUN_SPAN = 400_000
const TITLES = {
  ours: 'Groundswell, durable',
  nothing: 'Fastify + zod, stores nothing',
  insert: 'Fastify + zod, one INSERT a request, durable'
}

const folder = await mkdtemp(join(tmpdir(), 'groundswell-bench-'))
await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
const endings = []

/** Sees to it that what is started is ended, the last one first. */
async function keep (starting) {
  const server = await starting
  endings.unshift(server.stop)
  return server
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
  const server = await keep(start([here('rivals.mjs'), 'insert', answer, JSON.stringify(embedded.connection)], {}, Number))
  return { ...server, connection: embedded.connection, forgetsMarks: true }
}

let runs = 0

/** Loads one server, and checks that every 201 is a row. */
async function measure (server) {
  const before = server.connection === undefined ? 0 : await countRows(server)
  const result = await load([here('load.mjs'), server.port, CONNECTIONS, WARM_UP_MS, MEASURED_MS, runs++ * RUN_SPAN], server.pid)
  const answered = Object.values(result.statuses).reduce((sum, n) => sum + n, 0)
  if (server.connection !== undefined) {
    const rows = await countRows(server) - before
    if (rows !== result.accepted) throw new Error(`${result.accepted} reports were acknowledged, ${rows} are stored`)
    await settle(server)
  }
  return { ...result, cpuUs: result.cpuS * 1e6 / answered, refused: answered - (result.statuses['201'] ?? 0) + result.errors }
}

async function countRows ({ connection }) {
  return (await ask(connection, 'select count(*)::integer as n from reports'))[0].n
}

/** Lets the rollup finish, so that the next run does not pay for this one; a rival has none. */
async function settle ({ connection, forgetsMarks }) {
  if (forgetsMarks) await ask(connection, 'truncate stale_minutes')
  for (let tries = 0; tries < 300 && (await ask(connection, 'select count(*)::integer as n from stale_minutes'))[0].n > 0; tries++) await delay(100)
}

try {
  const ours = await keep(startOurs(join(folder, 'ours'), { LIMIT_REPORTS: '999999999/60', TRUST_PROXY: '127.0.0.0/8' }))
  const answer = await readSample(ours.port)
  const servers = { ours, nothing: await keep(start([here('rivals.mjs'), 'nothing', answer], {}, Number)), insert: await startInserts(answer) }
  console.log(`${await describeMachine(ours.connection)}
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
