// How fast many reports come in, beside COPY of the very same rows into a table of the same partitions, key and index:
// `npm run bench:bulk`. Three ways in: the batch call with NDJSON on a service as it ships, `groundswell import` beside that
// service, and the same alone. A service recounts what comes in while it comes in; COPY runs while it has nothing to do.
// LINES a run, ROUNDS and WAYS say how much; SEED makes other lines. `npm run bench:bulk memory` imports ten million beside
// the service, some six minutes with their making, and says whether memory stays flat.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pipeline } from 'node:stream/promises'
import { DAY_MS, floorTo, HOUR_MS, MINUTE_MS } from '../dist/core/time.js'
import { LOCKS, openDatabase } from '../dist/db/client.js'
import { createToken } from '../dist/http/tokens.js'
import { ask, describeMachine, here, median, show, startOurs } from './servers.mjs'

const MEMORY = process.argv[2] === 'memory'
const LINES = Number(process.env.LINES ?? (MEMORY ? 10_000_000 : 300_000))
const ROUNDS = Number(process.env.ROUNDS ?? (MEMORY ? 1 : 3))
const SEED = Number(process.env.SEED ?? 1)
const WAYS = (process.env.WAYS ?? (MEMORY ? 'import' : 'batch,import,alone')).split(',')
const TITLES = { batch: 'POST /v1/reports/batch, NDJSON', import: 'groundswell import, beside the service', alone: 'groundswell import, with its start, without a service' }
/** The batch call takes no more in one. */
const CALL_LINES = 100_000
/** Days in which reports may lie: inside the retention, and before the service began to watch. */
const DAYS = 28
/** Reports a minute, of all services: ten million in those days. */
const PER_MINUTE = 10_000_000 / (DAYS * DAY_MS / MINUTE_MS)
/** Of what COPY brings, at least. */
const GOAL = 0.3
const ENVIRONMENT = { LIMIT_ADMIN: '999999999/60' }
const TENTHS = 10
const SAMPLE_MS = 100
/** Memory is flat when the last tenth of a run of ten million lines holds at most so much more than the second. */
const FLAT = 1.1
/** How many of them say something in words. */
const COMMENTED = 0.01
const REGIONS = ['US', 'US-CA', 'US-NY', 'US-TX', 'CA-ON', 'CA-QC', 'GB', 'DE', 'FR', 'JP', 'IN', 'BR', 'AU', 'MX', undefined]

const folder = await mkdtemp(join(tmpdir(), 'groundswell-bench-'))
await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else

/** Uniform numbers in [0, 1): mulberry32. */
function openChance (seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** One of a list, the k-th a k-th as often as the first: few are named often, and most now and then. */
function openPick (list) {
  const sums = []
  for (const [i] of list.entries()) sums.push((sums.at(-1) ?? 0) + 1 / (i + 1))
  return chance => list[sums.findIndex(sum => sum > chance * sums.at(-1))]
}

/** Lines of a history, in order of time as a relay has them, spread over `[from, to)`; each has a reporter of its own. */
function * makeLines (words, seed, from, to) {
  const chance = openChance(seed)
  const [service, region, deviceClass, symptom] = [words.services, REGIONS, words.deviceClasses, words.symptoms].map(openPick)
  for (let n = 0; n < LINES; n++) {
    const spoken = chance()
    yield `${JSON.stringify({
      service: service(chance()),
      verdict: spoken < 0.7 ? 'down' : spoken < 0.85 ? 'degraded' : 'working',
      region: region(chance()),
      device_class: deviceClass(chance()),
      symptom: spoken < 0.5 ? symptom(chance()) : undefined,
      impact: chance() < 0.2 ? 'blocked' : undefined,
      comment: chance() < COMMENTED ? 'Nothing arrives since this morning.' : undefined,
      observed_at: new Date(from + (to - from) * n / LINES).toISOString(),
      reporter: `${seed}-${n.toString(36)}-${Math.floor(chance() * 2 ** 32).toString(36)}`
    })}\n`
  }
}

/** Writes them in files of as many lines as one call takes, and returns the names. */
async function writeLines (words, seed, from, to) {
  const files = []
  const lines = makeLines(words, seed, from, to)
  for (let left = LINES; left > 0; left -= CALL_LINES) {
    const file = join(folder, `${seed}-${files.length}.ndjson`)
    files.push(file)
    await pipeline(function * () {
      let text = ''
      for (let n = Math.min(left, CALL_LINES); n > 0; n--) {
        text += lines.next().value
        if (n % 1_000 !== 1) continue
        yield text
        text = ''
      }
    }, createWriteStream(file))
  }
  return files
}

/** Processor time so far, s, of the service and of commands that have ended, and of the service's PostgreSQL; NaN where there is no /proc. */
async function readCpu () {
  const processes = new Map()
  for (const name of await readdir('/proc').catch(() => [])) {
    if (!/^\d+$/.test(name)) continue
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => undefined)
    if (stat === undefined) continue
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // With the children it has waited for: a connection's process ends with the connection.
    processes.set(Number(name), { comm: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')), parent: Number(fields[1]), s: (Number(fields[11]) + Number(fields[12])) / 100, ended: (Number(fields[13]) + Number(fields[14])) / 100 })
  }
  if (processes.size === 0) return { node: NaN, postgres: NaN }
  const descends = each => each !== undefined && (each.parent === ours.pid || descends(processes.get(each.parent)))
  const used = { node: (processes.get(ours.pid)?.s ?? 0) + processes.get(process.pid).ended, postgres: 0 }
  for (const each of processes.values()) {
    if (!descends(each)) continue
    if (each.comm === 'postgres') used.postgres += each.s + each.ended
    else used.node += each.s
  }
  return used
}

async function readMiB (pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024
}

/** Watches the memory of a process until it is told to end: by tenths of the time, MiB, [least, median, most]. */
function watchMemory (pid) {
  const samples = []
  const timer = setInterval(async () => {
    const mib = await readMiB(pid)
    if (mib > 0) samples.push(mib)
  }, SAMPLE_MS)
  return () => {
    clearInterval(timer)
    return Array.from({ length: TENTHS }, (_, i) => {
      const part = samples.slice(Math.floor(samples.length * i / TENTHS), Math.floor(samples.length * (i + 1) / TENTHS)).sort((a, b) => a - b)
      return [part[0], part[Math.floor(part.length / 2)], part.at(-1)]
    })
  }
}

const sendFiles = async files => {
  let told = { received: 0, counted: 0, duplicate: 0, refused: 0 }
  for (const file of files) {
    const call = request({ port: ours.port, host: '127.0.0.1', method: 'POST', path: '/v1/reports/batch', headers: { authorization: `Bearer ${token}`, 'content-type': 'application/x-ndjson' } })
    const answered = once(call, 'response')
    await pipeline(createReadStream(file), call)
    const [response] = await answered
    let text = ''
    for await (const chunk of response.setEncoding('utf8')) text += chunk
    if (response.statusCode !== 200) throw new Error(`the batch call answered ${response.statusCode}: ${text.slice(0, 500)}`)
    const answer = JSON.parse(text)
    told = Object.fromEntries(Object.keys(told).map(key => [key, told[key] + answer[key]]))
  }
  return told
}

/** Runs the command on all files at once: one stream on its standard input. */
async function runImport (files, onStarted) {
  const child = spawn(process.execPath, [`${process.env.DIST ?? here('../dist')}/main.js`, 'import', '-'], {
    env: { PATH: process.env.PATH, DATA_DIR: join(folder, 'ours') }, stdio: ['pipe', 'inherit', 'pipe']
  })
  onStarted(child.pid)
  let last = ''
  createInterface(child.stderr).on('line', line => { last = line })
  const closed = once(child, 'close')
  await pipeline(async function * () { for (const file of files) yield * createReadStream(file) }, child.stdin)
  const [code] = await closed
  const found = /(\d+) read, (\d+) counted, (\d+) were there already, (\d+) refused/.exec(last)
  if (code !== 0 || found === null) throw new Error(`import ended with ${code}: ${last}`)
  const [received, counted, duplicate, refused] = found.slice(1).map(Number)
  return { received, counted, duplicate, refused }
}

/** Runs one way in, and checks what it says of itself. */
async function takeIn (way, files, expected) {
  let stopWatching = () => []
  if (way === 'alone') await ours.stop()
  const from = await readCpu()
  const began = performance.now()
  if (way === 'batch') stopWatching = watchMemory(ours.pid)
  const told = way === 'batch'
    ? await sendFiles(files)
    : await runImport(files, pid => { stopWatching = watchMemory(pid) })
  const s = (performance.now() - began) / 1000
  const memory = stopWatching()
  const to = await readCpu()
  if (way === 'alone') ours = await startOurs(join(folder, 'ours'), ENVIRONMENT)
  for (const [key, value] of Object.entries(expected)) if (told[key] !== value) throw new Error(`${TITLES[way]}: ${key} is ${told[key]}, not ${value}`)
  return { perSecond: LINES / s, memory, node: (to.node - from.node) * 1e6 / LINES, postgres: (to.postgres - from.postgres) * 1e6 / LINES }
}

async function countRows (from, to) {
  return (await ask(ours.connection, 'select count(*)::integer as n from reports where interval_at >= $1 and interval_at < $2', [new Date(from), new Date(to)]))[0].n
}

/** Forgets what is still to be recounted and judged anew, under the rollup's lock, so that the next run does not pay for this one: it would take minutes. */
async function settle () {
  await ask(ours.connection, `select pg_advisory_lock(${LOCKS.rollup}); delete from stale_minutes; delete from rejudge; select pg_advisory_unlock(${LOCKS.rollup})`)
  await ask(ours.connection, 'checkpoint')
}

/** COPY of the rows that now stand in these days, from a file of the server's, into a table like theirs. */
async function copyRows (from, to) {
  const file = join(folder, 'ours', 'rows.copy')
  await ask(ours.connection, `copy (select * from reports where interval_at >= '${new Date(from).toISOString()}' and interval_at < '${new Date(to).toISOString()}') to '${file}'`)
  await ask(ours.connection, 'checkpoint')
  const cpu = await readCpu()
  const began = performance.now()
  await ask(ours.connection, `copy reports_copied from '${file}'`)
  const s = (performance.now() - began) / 1000
  const after = await readCpu()
  const [{ n }] = await ask(ours.connection, 'select count(*)::integer as n from reports_copied where interval_at >= $1 and interval_at < $2', [new Date(from), new Date(to)])
  if (n !== LINES) throw new Error(`COPY brought ${n} rows, not ${LINES}`)
  await rm(file, { force: true })
  return { perSecond: LINES / s, postgres: (after.postgres - cpu.postgres) * 1e6 / LINES }
}

let ours = await startOurs(join(folder, 'ours'), ENVIRONMENT)
const database = openDatabase(ours.connection, { onError: () => {} })
let token
try {
  ({ token } = await createToken(database, { name: 'bench', scopes: ['import'], expiresAt: null }, 'bench', new Date()))
  const slugs = async table => (await ask(ours.connection, `select slug from ${table} order by ${table === 'services' ? 'id' : 'slug'}`)).map(({ slug }) => slug)
  const words = { services: await slugs('services'), deviceClasses: await slugs('device_classes'), symptoms: await slugs('symptoms') }
  await ask(ours.connection, 'create table reports_copied (like reports including all) partition by range (interval_at)')
  const end = floorTo(Date.now(), DAY_MS)
  for (let n = 1; n <= DAYS; n++) {
    const day = end - n * DAY_MS
    await ask(ours.connection, `create table reports_copied_${n} partition of reports_copied for values from ('${new Date(day).toISOString()}') to ('${new Date(day + DAY_MS).toISOString()}')`)
  }
  console.log(`${await describeMachine(ours.connection)}
${LINES} reports a run on ${words.services.length} services, in order of time, ${PER_MINUTE.toFixed(0)} a minute; each run ${MEMORY ? 'alone' : `beside COPY of its rows from a file of the server's. Medians (and every one) of ${ROUNDS}`}.\n`)
  const results = Object.fromEntries(WAYS.map(way => [way, []]))
  let from = end - DAYS * DAY_MS
  let runs = 0
  for (let round = 0; round < ROUNDS; round++) {
    // The order turns, so that nobody always follows the same one; each run has days of its own.
    for (const [i] of WAYS.entries()) {
      const way = WAYS[(i + round) % WAYS.length]
      const to = from + Math.ceil(LINES / PER_MINUTE / 60) * HOUR_MS
      if (to > end) throw new Error('so many lines in so many rounds are more than the days take')
      const files = await writeLines(words, SEED * 1_000 + runs++, from, to)
      await settle()
      const taken = await takeIn(way, files, { received: LINES, counted: LINES, duplicate: 0, refused: 0 })
      const rows = await countRows(from, to)
      if (rows !== LINES) throw new Error(`${LINES} reports were acknowledged, ${rows} are stored`)
      if (MEMORY) {
        results[way].push(taken)
        continue
      }
      await settle()
      const copied = await copyRows(from, to)
      const last = (LINES - 1) % CALL_LINES + 1
      await takeIn(way, files.slice(-1), { received: last, counted: 0, duplicate: last, refused: 0 })
      if (await countRows(from, to) !== LINES) throw new Error('the same lines once more added rows')
      results[way].push({ ...taken, copied })
      for (const file of files) await rm(file)
      from = to
    }
  }
  const remember = ({ memory }) => {
    console.log(`  memory, MiB   least median most by tenths of the last run: ${memory.map(part => part.map(mib => mib?.toFixed(0)).join(' ')).join(' | ')}`)
    return memory.at(-1)[1] / memory[1][1]
  }
  if (MEMORY) {
    const [[taken]] = Object.values(results)
    console.log(`${TITLES[WAYS[0]]}: ${taken.perSecond.toFixed(0)} reports/s`)
    const grown = remember(taken)
    console.log(`Memory is ${grown <= FLAT ? 'flat' : 'NOT flat'} over ${LINES} lines: the last tenth / the second ${grown.toFixed(2)}, goal ${FLAT}.`)
    if (grown > FLAT) process.exitCode = 1
  } else {
    for (const way of WAYS) {
      const all = (read, digits) => show(results[way].map(read), digits)
      const ratios = results[way].map(({ perSecond, copied }) => perSecond / copied.perSecond)
      console.log(`${TITLES[way]}
  reports/s     ${all(({ perSecond }) => perSecond, 0)}
  COPY, rows/s  ${all(({ copied }) => copied.perSecond, 0)}
  ours / COPY   ${show(ratios, 2)}   goal 0.3: ${median(ratios) >= GOAL ? 'reached' : 'MISSED'}
  processor     Node ${all(({ node }) => node, 1)} µs a report, PostgreSQL ${way === 'alone' ? 'not known' : `${all(({ postgres }) => postgres, 1)} with recounting`}; COPY ${all(({ copied }) => copied.postgres, 1)}`)
      remember(results[way].at(-1))
      if (median(ratios) < GOAL) process.exitCode = 1
    }
    console.log('\nEvery line was a row, and the same lines once more added none.')
  }
} finally {
  await database.close()
  await ours.stop()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
