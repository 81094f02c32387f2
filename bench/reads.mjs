// How fast hot public pages are told, beside a Fastify that answers the same bytes; and what a page costs that is read
// anew, with few reports stored and with many. `npm run bench:reads`; ROUNDS, SECONDS, CONNECTIONS and REPORTS say how much.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import { openApp } from '../dist/app.js'
import { ask, describeMachine, here, load, median, start, startOurs } from './servers.mjs'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const MEASURED_MS = Number(process.env.SECONDS ?? 3) * 1000
/** Until V8 has compiled what is asked for: after a second and a half a request still cost half as much again. */
const WARM_UP_MS = 3_000
const CONNECTIONS = Number(process.env.CONNECTIONS ?? 32)
/** Reports stored: first few, then many. */
const REPORTS = [10_000, Number(process.env.REPORTS ?? 10_000_000)]
/** Reports written in one statement. */
const FILLED_AT_ONCE = 1_000_000
const READINGS = 30
const GOAL = 0.6
/** A list of ids says no more than its beginning does. */
const PLAN_LINE_CHARS_MAX = 200
const PAGES = {
  summary: '/v1/services/imessage',
  'curve, 24 h': '/v1/services/imessage/curve',
  'Statuspage summary': '/statuspage/api/v2/summary.json'
}
/** Pages that are read anew, those above among them. */
const ANEW = { ...PAGES, 'outage list': '/v1/outages?limit=50', 'a service\'s outages': '/v1/outages?service=imessage&limit=50' }
const LIMIT = { max: 999_999_999, windowS: 60 }

/** A day of windows, of nine scopes a minute. */
const WINDOWS = `insert into windows select service, minute, region, device_class, 1, m % 2, m % 3, 1, m % 2, m % 3
  from generate_series(1, 2) service, generate_series(0, 1439) m, unnest(array['CA-ON', 'US-NY', 'DE']) region, unnest(array['iphone', 'mac', 'unknown']) device_class,
    lateral (select date_trunc('minute', now()) - make_interval(mins => m) as minute) x on conflict do nothing`
/** An outage each second day of two years, that of today open, with what was said of it. */
const OUTAGES = `with o as (insert into outages (service_id, id, region, device_class, state, severity, onset_at, onset_from, onset_to, detected_at, confirmed_at,
    resolved_at, peak_start, peak_down, peak_expected, device_impact, retrospective)
  select service, gen_random_uuid(), '*', '*', case d when 0 then 'confirmed' else 'resolved' end, 5, at, at, at, at + interval '5 min', at + interval '6 min',
    case when d > 0 then at + interval '1 hour' end, at, 40, 2, '[]', false
  from generate_series(1, 2) service, generate_series(0, 730, 2) d, lateral (select date_trunc('minute', now()) - make_interval(days => d, mins => 30) as at) x
  returning service_id, id, detected_at)
  insert into outage_events (service_id, outage_id, id, at, type, state, actor, text)
    select service_id, id, gen_random_uuid(), detected_at, type, type, 'detector', 'people report that it fails' from o, unnest(array['suspected', 'confirmed']) type`
const EXPECTATIONS = `insert into baselines select service, date_trunc('hour', now()) - make_interval(hours => h), 24, '{}'
  from generate_series(1, 2) service, generate_series(0, 23) h on conflict do nothing`
/** Ids in their order: with random ones, of which no page asks, the key took longer with each million. */
const FILL = `insert into reports (service_id, interval_at, id, minute, region, device_class, verdict, disposition, late)
  select 1 + n % 2, date_bin('15 min', minute, '1970-01-01T00:00:00Z'), lpad(to_hex(n), 32, '0')::uuid, minute, 'DE', 'iphone', n % 3, 0, false
  from generate_series($1::integer, $2::integer) n, lateral (select date_trunc('minute', now()) - make_interval(mins => n % 1440) as minute) x`
const REPORTS_SIZE = "select sum(pg_total_relation_size(relid))::float8 as bytes from pg_partition_tree('reports')"

/** Every statement that this process asks. */
const asked = []
const query = pg.Client.prototype.query
pg.Client.prototype.query = function (config, values, ...rest) {
  const text = typeof config === 'string' ? config : config?.text
  if (text !== undefined) asked.push({ text, values: typeof values === 'object' && values !== null ? values : config.values ?? [] })
  return query.call(this, config, values, ...rest)
}

const folder = await mkdtemp(join(tmpdir(), 'groundswell-bench-'))
await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
const endings = []

/** The middle of some values, and the least and the greatest. */
const show = (values, digits) => `${median(values).toFixed(digits)} (${Math.min(...values).toFixed(digits)}–${Math.max(...values).toFixed(digits)})`

async function compareHot (ours) {
  const sample = async path => {
    const response = await fetch(`http://127.0.0.1:${ours.port}${path}`)
    if (response.status !== 200) throw new Error(`${path} was answered with ${response.status}`)
    return { path, type: response.headers.get('content-type'), text: await response.text() }
  }
  const samples = await Promise.all(Object.values(PAGES).map(sample))
  await writeFile(join(folder, 'samples.json'), JSON.stringify(samples))
  const still = await start([here('still.mjs'), join(folder, 'samples.json')], {}, Number)
  endings.unshift(still.stop)
  console.log(`${await describeMachine(ours.connection)}
${CONNECTIONS} connections, one process each. Medians (least–greatest) of ${ROUNDS} interleaved runs of ${MEASURED_MS / 1000} s.\n`)
  for (const [name, path] of Object.entries(PAGES)) {
    const results = { ours: [], still: [] }
    for (let round = 0; round < ROUNDS; round++) {
      for (const which of round % 2 === 0 ? ['ours', 'still'] : ['still', 'ours']) {
        const server = { ours, still }[which]
        const result = await load([here('get-load.mjs'), server.port, CONNECTIONS, WARM_UP_MS, MEASURED_MS, path], server.pid)
        if (result.errors > 0 || Object.keys(result.statuses).join() !== '200') throw new Error(`${path}: ${JSON.stringify(result)}`)
        results[which].push({ ...result, cpuUs: result.cpuS * 1e6 / result.statuses[200] })
      }
    }
    const all = (which, key, digits) => show(results[which].map(result => result[key]), digits)
    console.log(`${name}, ${Buffer.byteLength(samples.find(sample => sample.path === path).text)} bytes
  ours        ${all('ours', 'perSecond', 0)} a second, p99 ${all('ours', 'p99', 1)} ms, ${all('ours', 'cpuUs', 0)} µs of processor
  no-op       ${all('still', 'perSecond', 0)} a second, p99 ${all('still', 'p99', 1)} ms, ${all('still', 'cpuUs', 0)} µs of processor
  ours/no-op  ${show(results.ours.map(({ perSecond }, i) => perSecond / results.still[i].perSecond), 2)}   goal ${GOAL}`)
  }
}

/** Brings the reports stored to `count`; says what they take. */
async function fill (connection, count) {
  const [{ n }] = await ask(connection, 'select count(*)::integer as n from reports')
  const began = performance.now()
  for (let from = n + 1; from <= count; from += FILLED_AT_ONCE) await ask(connection, FILL, [from, Math.min(count, from + FILLED_AT_ONCE - 1)])
  await ask(connection, 'analyze')
  const [{ bytes }] = await ask(connection, REPORTS_SIZE)
  console.log(`${count} reports: ${(bytes / 2 ** 20).toFixed(0)} MiB, written in ${((performance.now() - began) / 1000).toFixed(0)} s`)
  return bytes
}

/** Reads a page as whoever comes first after a start does, and then again and again; with the plans of all that is asked. */
async function readAnew (connection, path) {
  const app = await openApp({
    connection,
    owner: connection,
    clock: { now: () => new Date(), speed: 1 },
    logger: pino({ level: 'silent' }),
    retentionDays: 30,
    trustProxy: [],
    limits: { reports: LIMIT, reads: LIMIT, admin: LIMIT },
    ticking: false,
    heldMs: 0
  })
  const times = []
  try {
    await app.http.ready()
    asked.length = 0
    for (let i = 0; i < READINGS; i++) {
      const began = performance.now()
      const { statusCode } = await app.http.inject(path)
      times.push(performance.now() - began)
      if (statusCode !== 200) throw new Error(`${path} was answered with ${statusCode}`)
    }
  } finally {
    await app.close()
  }
  const plans = []
  for (const { text, values } of new Map(asked.map(statement => [statement.text, statement])).values()) {
    if (/^\s*(select|with)/i.test(text)) plans.push(await explain(connection, text, values))
  }
  if (plans.some(({ lines }) => lines.some(line => / on reports/.test(line)))) throw new Error(`${path} reads reports`)
  const sum = key => plans.reduce((total, plan) => total + plan[key], 0)
  return { times, plans, blocks: sum('blocks'), executionMs: sum('executionMs') }
}

async function explain (connection, text, values) {
  const lines = (await ask(connection, `explain (analyze, buffers, costs off, timing off) ${text}`, values)).map(row => row['QUERY PLAN'])
  const [, hit = 0, read = 0] = /shared(?: hit=(\d+))?(?: read=(\d+))?/.exec(lines.find(line => line.includes('Buffers: shared'))) ?? []
  return { lines, blocks: Number(hit) + Number(read), executionMs: Number(/[\d.]+/.exec(lines.at(-1))[0]) }
}

async function compareAnew (connection) {
  // What all summaries are made of is read once a second: most of the readings of one find it.
  console.log('\nRead anew, beside a server that does its jobs:')
  const all = []
  let bytes = 0
  for (const count of REPORTS) {
    bytes = await fill(connection, count)
    const readings = {}
    for (const [name, path] of Object.entries(ANEW)) readings[name] = await readAnew(connection, path)
    all.push(readings)
  }
  for (const name of Object.keys(ANEW)) {
    console.log(`${name}, of ${all[0][name].plans.length} statements, none on reports`)
    for (const [i, { [name]: { times, blocks, executionMs } }] of all.entries()) {
      console.log(`  ${REPORTS[i]} reports  ${show(times, 1)} ms a reading; in the database, all that one can ask: ${executionMs.toFixed(1)} ms and ${blocks} blocks`)
    }
  }
  if (REPORTS.at(-1) < 1e8) console.log(`10^8 reports, ${(bytes / REPORTS.at(-1) * 1e8 / 2 ** 30).toFixed(0)} GiB, are not tried: no plan names the table.`)
  console.log(`\nPlans with ${REPORTS.at(-1)} reports, of windows, outages and their timelines:`)
  const shown = new Set()
  for (const [name, { plans }] of Object.entries(all.at(-1))) {
    for (const { lines } of plans) {
      const shape = lines.join('\n').replace(/[\d.]+/g, '')
      if (shown.has(shape) || !/ on (windows|outages|outage_events)\b/.test(shape)) continue
      shown.add(shape)
      console.log([`  ${name}`, ...lines.map(line => `    ${line.slice(0, PLAN_LINE_CHARS_MAX)}`)].join('\n'))
    }
  }
}

try {
  const ours = await startOurs(join(folder, 'ours'), { LIMIT_READS: '999999999/60' })
  endings.unshift(ours.stop)
  await ask(ours.connection, WINDOWS)
  await ask(ours.connection, OUTAGES)
  await ask(ours.connection, EXPECTATIONS)
  await compareHot(ours)
  await compareAnew(ours.connection)
} finally {
  for (const end of endings) await end()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
