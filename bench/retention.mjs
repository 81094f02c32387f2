// What a year takes on disk, what making a day wider costs, and what a curve reads: `npm run bench:retention`.
// SERVICES services of 60 cells each are made up, one in twenty busy and most of them quiet; all is scaled to a thousand.
// Older months are made as what compaction leaves of them; what it is timed on is made as it comes.
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepareDatabase } from '../dist/app.js'
import { compactedBefore } from '../dist/core/curves.js'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../dist/core/time.js'
import { canConnect, openDatabase } from '../dist/db/client.js'
import { compactBaselines, copyDays, copyHours, dropHours, dropMinutes } from '../dist/db/compaction.js'
import { readTallies } from '../dist/db/windows.js'
import { startEmbedded } from '../dist/embedded/postgres.js'

const SERVICES = Number(process.env.SERVICES ?? 20)
const SCALED_TO = 1_000
const REGIONS = ['US', 'US-CA', 'US-NY', 'US-TX', 'CA-ON', 'CA-QC', 'GB', 'DE', 'FR', 'JP', 'IN', 'BR', 'AU', 'MX', 'ZZ']
const DEVICES = ['iphone', 'mac', 'ipad-wifi', 'unknown']
/** Counted reports a minute, and how many of twenty services have so many. */
const TRAFFIC = [{ perMinute: 600, of20: 1, name: 'busy' }, { perMinute: 30, of20: 4, name: 'usual' }, { perMinute: 1, of20: 15, name: 'quiet' }]
const TODAY = Date.parse('2026-06-16T00:00:00Z')
const MINUTES_FROM = compactedBefore('1m', TODAY) - DAY_MS
const YEAR_DAYS = 365
/** Days of which baselines are made by the hour as the detector writes them, and as they are kept. */
const FINE_DAYS = 3
const FLAT_DAYS = 3
const iso = at => new Date(at).toISOString()
const gigabytes = bytes => `${(bytes / 1e9).toFixed(2)} GB`

const folder = await mkdtemp(join(tmpdir(), 'groundswell-bench-'))
await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
const embedded = await startEmbedded({ dataDir: join(folder, 'data'), isReady: canConnect, log: () => {} })
const database = openDatabase(embedded.connection, { onError: () => {}, answerTimeoutMs: 0, statementTimeoutMs: 0 })

/** Cells by service: how many reports a minute each has, on average; the k-th of a service has a k-th of the first's. */
async function makeCells () {
  await database.query('create table cells (service_id integer, region text, device_class text, rate double precision)')
  const kinds = []
  for (let i = 0; i < SERVICES; i++) kinds.push(TRAFFIC.find((_, kind) => i % 20 < TRAFFIC.slice(0, kind + 1).reduce((sum, { of20 }) => sum + of20, 0)))
  const weights = REGIONS.flatMap((region, r) => DEVICES.map((device, d) => ({ region, device, weight: 1 / (1 + r * DEVICES.length + d) })))
  const total = weights.reduce((sum, { weight }) => sum + weight, 0)
  for (const [index, { perMinute }] of kinds.entries()) {
    for (const { region, device, weight } of weights) await database.query('insert into cells values ($1, $2, $3, $4)', [1_001 + index, region, device, perMinute * weight / total])
  }
  await database.query('analyze cells')
  return kinds
}

/** Windows of `[from, to)`: a cell has one where chance brought it a report. Ascending in time, as they come. */
async function makeWindows (table, widthMs, from, to) {
  const minutes = widthMs / MINUTE_MS
  for (let at = from; at < to; at += 24 * Math.max(widthMs, HOUR_MS)) {
    await database.query(`insert into ${table} select service_id, at, region, device_class, n - n / 4, n / 20, n / 4 - n / 20, n - n / 4, n / 20, n / 4 - n / 20
      from generate_series($1::timestamptz, $2::timestamptz - make_interval(secs => $3), make_interval(secs => $3)) at
        cross join lateral (select *, greatest(1, round(rate * $4))::integer as n from cells where random() < 1 - exp(-least(rate * $4, 50)) + 0 * extract(minute from at)) c`,
    [iso(at), iso(Math.min(to, at + 24 * Math.max(widthMs, HOUR_MS))), widthMs / 1000, minutes])
  }
  await database.query(`vacuum analyze ${table}`)
  return sizeOf(table, (to - from) / DAY_MS)
}

/** Expectations with as many digits as the detector writes. */
async function makeBaselines () {
  const triple = 'json_build_array(random() * rate, random() * rate, random() * rate)'
  await database.query(`insert into baselines select service_id, hour, 100, json_object_agg(region || '|' || device_class,
      json_build_object('m', ${triple}, 'upper', ${triple}, 'phi', 1 + random()))
    from generate_series($1::timestamptz, $2::timestamptz, '1 hour') hour cross join cells group by 1, 2`,
  [iso(MINUTES_FROM), iso(MINUTES_FROM + FINE_DAYS * DAY_MS - HOUR_MS)])
  await database.query('insert into watched select generate_series($1::timestamptz, $2::timestamptz, \'1 minute\')',
    [iso(MINUTES_FROM), iso(MINUTES_FROM + FINE_DAYS * DAY_MS - MINUTE_MS)])
  await database.query('vacuum analyze baselines')
  return sizeOf('baselines', FINE_DAYS)
}

async function sizeOf (table, days) {
  const [{ bytes, rows }] = await database.query(`select pg_total_relation_size('${table}')::float8 as bytes, (select count(*)::float8 from ${table}) as rows`)
  return { table, bytes, rows, days }
}

async function timePieces (move) {
  const pieces = []
  for (let more = true; more;) {
    const began = performance.now()
    more = await move()
    if (more) pieces.push(performance.now() - began)
  }
  return pieces
}

const secondsOf = pieces => pieces.reduce((sum, ms) => sum + ms, 0) / 1000
const tellPieces = (what, pieces) => {
  const scale = SCALED_TO / SERVICES
  console.log(`${what}: ${secondsOf(pieces).toFixed(2)} s in ${pieces.length} transactions, the longest ${Math.max(...pieces).toFixed(0)} ms; ` +
    `scaled: ${(secondsOf(pieces) * scale).toFixed(0)} s, ${(Math.max(...pieces) * scale / 1000).toFixed(1)} s`)
}

/** What a curve's statement did: the median of three, warm. */
async function explain (serviceId, from, to, widthMs) {
  const found = []
  const asking = { orm: database.orm, query: (text, values) => database.query(`explain (analyze, buffers, format json) ${text}`, values) }
  for (let round = 0; round < 4; round++) {
    const [row] = await readTallies(asking, serviceId, { region: '*', deviceClass: '*' }, from, to, widthMs)
    found.push(row['QUERY PLAN'][0])
  }
  const tables = new Set()
  let rows = 0
  const walk = plan => {
    if (plan['Relation Name'] !== undefined) {
      tables.add(plan['Relation Name'])
      rows += Math.round(plan['Actual Rows'] * plan['Actual Loops'])
    }
    for (const part of plan.Plans ?? []) walk(part)
  }
  const [, ...warm] = found.sort((a, b) => a['Execution Time'] - b['Execution Time'])
  const median = warm[1]
  walk(median.Plan)
  return { ms: median['Execution Time'], cost: median.Plan['Total Cost'], blocks: median.Plan['Shared Hit Blocks'] + median.Plan['Shared Read Blocks'], rows, tables: [...tables].sort() }
}

try {
  await prepareDatabase({ connection: embedded.connection, owner: embedded.connection }, 30, new Date(TODAY))
  const kinds = await makeCells()
  const minutes = await makeWindows('windows', MINUTE_MS, MINUTES_FROM, TODAY)
  await makeWindows('windows_1h', HOUR_MS, TODAY - YEAR_DAYS * DAY_MS, MINUTES_FROM)
  await makeWindows('windows_1d', DAY_MS, TODAY - 2 * YEAR_DAYS * DAY_MS, TODAY - YEAR_DAYS * DAY_MS)
  const fine = await makeBaselines()
  console.log(`${cpus()[0].model}, ${cpus().length} cores, load ${loadavg()[0].toFixed(1)}; Node ${process.version}
${SERVICES} services of ${REGIONS.length * DEVICES.length} cells; of twenty ${TRAFFIC.map(({ name, of20, perMinute }) => `${of20} ${name} (${perMinute} reports a minute)`).join(', ')}
Scaled linearly from ${SERVICES} to ${SCALED_TO} services: measured is what stands before "scaled" alone.\n`)
  const flatBefore = MINUTES_FROM + FLAT_DAYS * DAY_MS
  await database.query('update compacted set minutes_from = $1, hours_until = $1, days_until = $2, hours_from = $2', [iso(MINUTES_FROM), iso(TODAY - YEAR_DAYS * DAY_MS)])
  tellPieces('A day of minutes copied into hours', await timePieces(() => copyHours(database, MINUTES_FROM + DAY_MS)))
  await timePieces(() => copyHours(database, TODAY - HOUR_MS))
  tellPieces('A day of hours copied into a day', await timePieces(() => copyDays(database, TODAY - (YEAR_DAYS - 1) * DAY_MS)))
  await timePieces(() => copyDays(database, TODAY - DAY_MS))
  for (const table of ['windows_1h', 'windows_1d']) await database.query(`vacuum analyze ${table}`)
  const [hours, days] = [await sizeOf('windows_1h', YEAR_DAYS), await sizeOf('windows_1d', 2 * YEAR_DAYS)]
  const baselines = await timePieces(() => compactBaselines(database, flatBefore))
  tellPieces(`${FLAT_DAYS} days of baselines flattened`, baselines)
  await database.query('vacuum analyze baselines_1h')
  const flat = await sizeOf('baselines_1h', FLAT_DAYS)
  console.log('\ntable          rows      bytes a row   kept       measured     1,000 services, as long as it is kept (at most two years)')
  let all = 0
  for (const [{ table, rows, bytes, days: made }, kept, said] of [
    [minutes, 37, '35 days'], [hours, 733, '2 years'], [days, 730, 'for ever'], [fine, 37, '35 days'], [flat, 733, '2 years']]) {
    const scaled = bytes / made * kept * SCALED_TO / SERVICES
    all += scaled
    console.log([table.padEnd(14), String(rows).padStart(9), (bytes / rows).toFixed(0).padStart(10), `   ${said}`.padEnd(12),
      `${gigabytes(bytes)} (${made} days)`.padEnd(20), gigabytes(scaled)].join('  '))
  }
  const yearOf = ({ bytes, days: made }) => bytes / made * YEAR_DAYS * SCALED_TO / SERVICES
  console.log(`All of it after two years: ${gigabytes(all)}. A further year by the hour: windows ${gigabytes(yearOf(hours))}, baselines ${gigabytes(yearOf(flat))}; by the day: ${gigabytes(yearOf(days))}.
Without compaction a year of minutes and baselines would be ${gigabytes(yearOf(minutes) + yearOf(fine))}.`)

  tellPieces('\nA day of minutes deleted', await timePieces(() => dropMinutes(database, MINUTES_FROM + DAY_MS)))
  tellPieces('A day of hours deleted', await timePieces(() => dropHours(database, TODAY - (YEAR_DAYS - 1) * DAY_MS)))
  for (const table of ['windows', 'windows_1h']) await database.query(`vacuum analyze ${table}`)
  console.log('\ncurve                  service  rows read      ms      cost  blocks  tables')
  for (const [name, widthMs, from] of [['1m, 2,000 windows', MINUTE_MS, TODAY - 2_000 * MINUTE_MS], ['15m, 20 days', 15 * MINUTE_MS, TODAY - 20 * DAY_MS], ['1h, a day', HOUR_MS, TODAY - DAY_MS],
    ['1h, 83 days', HOUR_MS, TODAY - 83 * DAY_MS], ['1h, 83 old days', HOUR_MS, TODAY - 133 * DAY_MS], ['1d, a year', DAY_MS, TODAY - YEAR_DAYS * DAY_MS], ['1d, two years', DAY_MS, TODAY - 2 * YEAR_DAYS * DAY_MS]]) {
    for (const { name: kind } of [TRAFFIC[0], TRAFFIC.at(-1)]) {
      const serviceId = 1_001 + kinds.findIndex(each => each.name === kind)
      const to = name === '1h, 83 old days' ? TODAY - 50 * DAY_MS : TODAY
      const { ms, cost, blocks, rows, tables } = await explain(serviceId, from, to, widthMs)
      console.log([name.padEnd(21), kind.padEnd(7), String(rows).padStart(9), ms.toFixed(1).padStart(8), cost.toFixed(0).padStart(8), String(blocks).padStart(6), tables.join(' ')].join('  '))
    }
  }
} finally {
  await database.close()
  await embedded.stop()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
