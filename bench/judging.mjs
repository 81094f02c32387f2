// What judging a minute of all services costs: `npm run bench:judging`; SERVICES, DAYS and MINUTES say how much.
// The job is the clock's own (`detect`), on learnt states, beside a job that reads the same windows and writes the same
// states back without judging; once with the database on the one core that Node has, and once with it on another.
// Each situation in a process of its own: it is forked as `judging.mjs run <cores> <connection>`.
import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { prepareDatabase } from '../dist/app.js'
import { advance, decide, newDetector } from '../dist/core/detector.js'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../dist/core/time.js'
import { canConnect, openDatabase, transact } from '../dist/db/client.js'
import { upsertCheckpoints } from '../dist/db/detector.js'
import { readCatalog } from '../dist/db/services.js'
import { markWatched } from '../dist/db/watched.js'
import { readSeen } from '../dist/db/windows.js'
import { startEmbedded } from '../dist/embedded/postgres.js'
import { detect, loadJudging } from '../dist/jobs/detect.js'
import { describeMachine, median, NODE_FLAGS, readCpu, readPeakMiB } from './servers.mjs'

const SERVICES = Number(process.env.SERVICES ?? 1_000)
const DAYS = Number(process.env.DAYS ?? 15)
const MINUTES = Number(process.env.MINUTES ?? 20)
/** 9 × 5 cells: with the countries, the device classes and all together 60 scopes. */
const REGIONS = ['AU', 'BR', 'CA', 'DE', 'FR', 'GB', 'IN', 'JP', 'US']
const DEVICES = ['android-phone', 'ipad-wifi', 'iphone', 'mac', 'unknown']
const CELLS = REGIONS.flatMap(region => DEVICES.map(deviceClass => ({ region, deviceClass })))
/** Reports a minute in each cell, on average: working ones beside the one that is always there, and such as say it fails. */
const KINDS = [[0.2, 0.01], [0.5, 0.1], [2, 0.1], [5, 0.5]]
/** The minutes judged are the last of an hour, after which the next is begun (learning, predicting), and the first of that. */
const START = Date.parse('2026-06-16T12:00:00Z') - MINUTES / 2 * MINUTE_MS
const STORED_MINUTES = 30
/** One service in twenty has an outage from the third minute on, over half of the run: of all, of a country, of a device class. */
const OUTAGE_EVERY = 20
const OUTAGE = { from: START + 2 * MINUTE_MS, to: START + (2 + MINUTES / 2) * MINUTE_MS }
const SITUATIONS = { quiet: 'No outage', outages: `An outage in ${SERVICES / OUTAGE_EVERY} services` }
const CORES = { one: 'Node and PostgreSQL on one core', apart: 'Node on one core, PostgreSQL on another' }
const iso = at => new Date(at).toISOString()

/** Numbers in [0, 1) that are the same in every run (mulberry32, Tommy Ettinger). */
function newRandom (seed) {
  return () => {
    seed = seed + 0x6D2B79F5 | 0
    let mixed = Math.imul(seed ^ seed >>> 15, seed | 1)
    mixed ^= mixed + Math.imul(mixed ^ mixed >>> 7, mixed | 61)
    return ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32
  }
}

/** Poisson (Knuth 1969). */
function poisson (random, mean) {
  const least = Math.exp(-mean)
  let count = -1
  for (let product = 1; product > least; count++) product *= random()
  return count
}

function isHit (serviceId, { region, deviceClass }, at) {
  if (at < OUTAGE.from || at >= OUTAGE.to || serviceId % OUTAGE_EVERY !== 0) return false
  return [true, region === 'DE', deviceClass === 'iphone'][serviceId / OUTAGE_EVERY % 3]
}

function countCell (random, kind, hit) {
  const [working, down] = KINDS[kind]
  return { working: 1 + poisson(random, working), degraded: 0, down: poisson(random, down) + (hit ? 3 + poisson(random, 4) : 0) }
}

const kindOf = serviceId => serviceId % KINDS.length

/** A detector that has seen DAYS of minutes of a kind of service. */
function learn (kind) {
  const random = newRandom(kind)
  const state = newDetector(2, 1)
  for (let start = START - DAYS * DAY_MS; start < START; start += MINUTE_MS) {
    advance(state, { start, watched: true, cells: CELLS.map(cell => ({ ...cell, ...countCell(random, kind, false) })) })
    decide(state, new Set())
  }
  return state
}

async function makeServices (database) {
  await database.query('truncate services cascade')
  await database.query(`insert into services (id, slug, name, expected_per_hour, live_since)
    select id, 'service-' || id, 'Service ' || id, 2, $2 from generate_series(1, $1::integer) id`, [SERVICES, iso(START - DAYS * DAY_MS)])
  const states = KINDS.map((_, kind) => learn(kind))
  for (let id = 1; id <= SERVICES; id++) await upsertCheckpoints(database, [{ serviceId: id, judgedUntil: START, state: states[kindOf(id)] }])
  await markWatched(database, START - STORED_MINUTES * MINUTE_MS, START + MINUTES * MINUTE_MS)
}

/** Windows of `[from, to)`, of all services or of those with an outage alone, who then have their reports too. */
async function makeWindows (database, from, to, hit) {
  for (let at = from; at < to; at += MINUTE_MS) {
    const columns = [[], [], [], [], []]
    for (let id = hit ? OUTAGE_EVERY : 1; id <= SERVICES; id += hit ? OUTAGE_EVERY : 1) {
      const random = newRandom(id * 1_000_003 + at / MINUTE_MS)
      for (const cell of CELLS) {
        const { working, down } = countCell(random, kindOf(id), hit && isHit(id, cell, at))
        for (const [i, value] of [id, cell.region, cell.deviceClass, working, down].entries()) columns[i].push(value)
      }
    }
    const cells = 'unnest($2::integer[], $3::text[], $4::text[], $5::integer[], $6::integer[]) c(service_id, region, device_class, working, down)'
    await database.query(`insert into windows select service_id, $1, region, device_class, working, 0, down, working, 0, down from ${cells}`, [iso(at), ...columns])
    if (!hit) continue
    await database.query(`insert into reports (service_id, interval_at, id, minute, region, device_class, verdict, network, disposition, late)
      select service_id, date_bin('15 min', $1::timestamptz, '1970-01-01T00:00:00Z'), gen_random_uuid(), $1, region, device_class,
        case when n <= down then 2 else 0 end, decode(md5(n || region || device_class || $1), 'hex'), 0, false
      from ${cells}, generate_series(1, working + down) n`, [iso(at), ...columns])
  }
}

/** Puts the tables back to where judging begins. */
async function rewind (database) {
  await database.query('truncate outages, outage_events, withheld, outbox, baselines, rejudge, reports cascade')
  await database.query('delete from detector_states where judged_until > $1', [iso(START)])
  await database.query('delete from judging')
  await database.query('insert into judging (judged_until) values ($1)', [iso(START)])
  await database.query('vacuum analyze')
}

// Where the time of a minute goes: what is asked of the pool reads, a transaction writes, the rest is core's.
const spent = { readMs: 0, writeMs: 0, statements: 0, toldAt: undefined }
const { query } = pg.Client.prototype
pg.Client.prototype.query = function (...told) {
  spent.statements++
  return query.apply(this, told)
}

function timed (database) {
  return {
    ...database,
    async query (...told) {
      const began = performance.now()
      return database.query(...told).finally(() => { spent.readMs += performance.now() - began })
    },
    pool: {
      async connect () {
        const began = performance.now()
        const client = await database.pool.connect()
        return {
          query: (...told) => client.query(...told),
          release (error) {
            client.release(error)
            spent.writeMs += performance.now() - began
            spent.toldAt ??= performance.now()
          }
        }
      }
    }
  }
}

/** The pids of PostgreSQL, whose backends are the postmaster's children. */
async function findPostgres (database) {
  const [{ pid }] = await database.query('select pg_backend_pid() as pid')
  const parentOf = async pid => Number(/^\S+ \(.*\) \S (\d+)/.exec(await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ''))?.[1])
  const postmaster = await parentOf(pid)
  const all = (await readdir('/proc')).filter(name => /^\d+$/.test(name)).map(Number)
  const parents = await Promise.all(all.map(parentOf))
  return [postmaster, ...all.filter((_, i) => parents[i] === postmaster)]
}

async function readCpuMs (database) {
  const pids = await findPostgres(database)
  const { user, system } = process.cpuUsage()
  return { node: (user + system) / 1_000, postgres: (await Promise.all(pids.map(readCpu))).reduce((sum, s) => sum + (s || 0) * 1_000, 0) }
}

function pin (pids, core) {
  for (const pid of pids) execFileSync('taskset', ['-acp', String(core), String(pid)], { stdio: 'ignore' })
}

/** Reads the windows of a minute and writes the states that are due, as judging does, and judges nothing. */
async function copyMinute (database, judging, at) {
  await readSeen(database, at, at + MINUTE_MS)
  const due = [...judging.states].filter(([id]) => id % 60 === (at / MINUTE_MS + 1) % 60)
  await transact(database, tx => upsertCheckpoints(tx, due.map(([serviceId, state]) => ({ serviceId, judgedUntil: at + MINUTE_MS / 2, state }))))
}

async function run (cores, connection) {
  const plain = openDatabase(connection, { onError: () => {}, max: 4, answerTimeoutMs: 0, statementTimeoutMs: 60_000 })
  const database = timed(plain)
  pin([process.pid], 1)
  pin(await findPostgres(plain), cores === 'one' ? 1 : 0)
  const loadBegan = performance.now()
  const judging = await loadJudging(database)
  const loadMs = performance.now() - loadBegan
  const minutes = []
  for (let at = START; at < START + MINUTES * MINUTE_MS; at += MINUTE_MS) {
    const copyBegan = performance.now()
    await copyMinute(plain, judging, at)
    const copyMs = performance.now() - copyBegan
    Object.assign(spent, { readMs: 0, writeMs: 0, statements: 0, toldAt: undefined })
    const cpu = await readCpuMs(plain)
    const began = performance.now()
    const services = [...(await readCatalog(plain)).services.values()]
    if (!await detect(database, judging, services, at + MINUTE_MS)) throw new Error('somebody else has judged')
    const ms = performance.now() - began
    const used = await readCpuMs(plain)
    minutes.push({ at, copyMs, ms, coreMs: ms - spent.readMs - spent.writeMs, ...spent, toldMs: spent.toldAt - began, nodeMs: used.node - cpu.node, postgresMs: used.postgres - cpu.postgres })
  }
  const [{ found, open }] = await plain.query("select count(*)::integer as found, count(*) filter (where state not in ('resolved', 'dismissed'))::integer as open from outages")
  await plain.close()
  const scopes = [...judging.states.values()].reduce((sum, state) => sum + state.scopes.length, 0)
  process.send({ loadMs, minutes, found, open, scopes, peakMiB: await readPeakMiB(process.pid) })
  process.disconnect()
}

function tell (situation, cores, { loadMs, minutes, found, open, scopes, peakMiB }) {
  const of = key => minutes.map(minute => minute[key])
  const line = (name, key) => `  ${name.padEnd(22)}${median(of(key)).toFixed(0).padStart(6)}${Math.max(...of(key)).toFixed(0).padStart(7)}`
  console.log(`
${SITUATIONS[situation]}; ${CORES[cores]}: ${scopes} scopes, ${found} outages found, ${open} of them open at the end
  ms a minute           median    max
${line('until outages are told', 'toldMs')}   goal 1,000
${line('all', 'ms')}
${line('  read', 'readMs')}
${line('  core', 'coreMs')}
${line('  write', 'writeMs')}
${line('processor, Node', 'nodeMs')}
${line('processor, PostgreSQL', 'postgresMs')}
${line('statements', 'statements')}
${line('read and written only', 'copyMs')}
  judged / only read and written ${(median(of('ms')) / median(of('copyMs'))).toFixed(2)}
${tellTurn(minutes)}  states loaded in ${(loadMs / 1000).toFixed(1)} s; at most ${peakMiB.toFixed(0)} MiB in Node`)
}

/** The two minutes between which an hour turns, if they were judged. */
function tellTurn (minutes) {
  const [last, first] = [HOUR_MS - MINUTE_MS, 0].map(after => minutes.find(({ at }) => at % HOUR_MS === after))
  if (last === undefined || first === undefined) return ''
  return `  the hour's last minute, outages told after ${last.toldMs.toFixed(0)}; with the next hour begun ${last.ms.toFixed(0)}: core ${last.coreMs.toFixed(0)}, write ${last.writeMs.toFixed(0)}; processor ${last.nodeMs.toFixed(0)} and ${last.postgresMs.toFixed(0)}
  the hour's first minute, outages told after ${first.toldMs.toFixed(0)}; all ${first.ms.toFixed(0)}
`
}

async function prepareAndRun () {
  const folder = await mkdtemp(join(tmpdir(), 'groundswell-bench-'))
  await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
  const embedded = await startEmbedded({ dataDir: join(folder, 'data'), isReady: canConnect, log: () => {} })
  const database = openDatabase(embedded.connection, { onError: () => {}, answerTimeoutMs: 0, statementTimeoutMs: 0 })
  try {
    await prepareDatabase({ connection: embedded.connection, owner: embedded.connection }, 30, new Date(START))
    const began = performance.now()
    await makeServices(database)
    await makeWindows(database, START - STORED_MINUTES * MINUTE_MS, START + MINUTES * MINUTE_MS, false)
    console.log(`${await describeMachine(embedded.connection)}
${SERVICES} services of ${CELLS.length} cells, a row in each of them each minute, learnt over ${DAYS} days; made in ${((performance.now() - began) / 1000).toFixed(0)} s`)
    for (const situation of Object.keys(SITUATIONS)) {
      if (situation === 'outages') {
        await database.query('delete from windows where service_id % $1 = 0 and minute >= $2', [OUTAGE_EVERY, iso(START)])
      }
      for (const cores of Object.keys(CORES)) {
        await rewind(database)
        if (situation === 'outages') await makeWindows(database, START, START + MINUTES * MINUTE_MS, true)
        const child = fork(fileURLToPath(import.meta.url), ['run', cores, JSON.stringify(embedded.connection)],
          { execArgv: [...NODE_FLAGS, ...(process.env.PROFILE === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${process.env.PROFILE}`])] })
        const [result] = await Promise.race([once(child, 'message'), once(child, 'exit').then(([code]) => { throw new Error(`a run ended with ${code}`) })])
        if (child.exitCode === null) await once(child, 'exit')
        tell(situation, cores, result)
        if (situation === 'outages') await database.query('delete from windows where service_id % $1 = 0 and minute >= $2', [OUTAGE_EVERY, iso(START)])
      }
    }
  } finally {
    await database.close()
    await embedded.stop()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

const [command, cores, connection] = process.argv.slice(2)
await (command === 'run' ? run(cores, JSON.parse(connection)) : prepareAndRun())
