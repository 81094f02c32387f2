// A rush in ten minutes, like that of 20 October 2025, with kill -9 in its midst: `npm run bench:rush`.
// Reports come at the rate of a curve, whether they are answered or not, and each is said again until it is acknowledged.
// MINUTES (10) and PEAK (3000 reports a second) say how long and how high. In the end every acknowledged report is looked
// for, windows are held against reports, and it is told which outages were seen, and when.
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { ask, describeMachine, readPeakMiB, startOurs } from './servers.mjs'

const MINUTES = Number(process.env.MINUTES ?? 10)
const PEAK = Number(process.env.PEAK ?? 3_000)
const CONNECTIONS = 256
const TICK_MS = 10
const RETRY_AFTER_MS = 500
/** Those that fail, with their share of the rush, and those that go on working. */
const FAILING = [['aws', 0.4], ['slack', 0.2], ['zoom', 0.15], ['github', 0.15], ['imessage', 0.1]]
const WORKING = ['whatsapp', 'facetime', 'azure', 'google-cloud', 'icloud-mail']
const QUIET_PER_S = 20
const REGIONS = ['US-VA', 'US-NY', 'US-CA', 'CA-ON', 'GB', 'DE', 'FR', 'IN']
const DEVICE_CLASSES = ['iphone', 'android', 'web', 'windows', 'mac', 'ipad-wifi']

/** Reports a second of those that fail, by the part of the run that is over: quiet, a steep rise, a plateau, a slow end. */
function rateAt (part) {
  if (part < 0.2) return QUIET_PER_S / 4
  if (part < 0.4) return PEAK * ((part - 0.2) / 0.2) ** 2 + QUIET_PER_S / 4
  if (part < 0.65) return PEAK
  return PEAK * Math.exp(-(part - 0.65) / 0.12) + QUIET_PER_S / 4
}

/** When what is killed, by part of the run. */
const KILLS = [{ part: 0.45, what: 'the service' }, { part: 0.55, what: 'PostgreSQL' }, { part: 0.62, what: 'both' }]

const folder = await mkdtemp(join(tmpdir(), 'groundswell-bench-'))
await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
const dataDir = join(folder, 'ours')
const environment = { LIMIT_REPORTS: '999999999/60', TRUST_PROXY: '127.0.0.0/8', LOG_LEVEL: 'fatal' }

let service = await startOurs(dataDir, { ...environment, LOG_LEVEL: 'info' })
const { port, connection } = service
const acknowledged = new Map()
const statuses = {}
const waiting = []
const idle = []
let made = 0
let unanswered = 0

/** Two numbers in [0, 1) for each report, spread evenly and apart from each other (the R2 sequence of Roberts, 2018). */
const spread = (n, axis) => (n * [0.7548776662466927, 0.5698402909980532][axis]) % 1

function verdictOf (n, fails) {
  const at = spread(n, 0)
  if (!fails) return at < 0.005 ? 'down' : 'working'
  return at < 0.75 ? 'down' : at < 0.95 ? 'degraded' : 'working'
}

/** A report of the rush, or of what goes on beside it; before the rise what will fail works as well. */
function makeReport (isOfRush, fails) {
  const n = made++
  let service = WORKING[Math.floor(spread(n, 1) * WORKING.length)]
  if (isOfRush) {
    let at = spread(n, 1)
    service = FAILING.find(([, share]) => (at -= share) < 0)[0]
  }
  const body = JSON.stringify({
    service,
    verdict: verdictOf(n, fails),
    region: REGIONS[n % REGIONS.length],
    device_class: DEVICE_CLASSES[n % DEVICE_CLASSES.length],
    observed_at: new Date().toISOString()
  })
  return {
    madeAt: performance.now(),
    text: `POST /v1/reports HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nContent-Type: application/json\r\nX-Forwarded-For: ${128 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}.7\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  }
}

/** One connection, which takes whatever waits; what it lost without an acknowledgement waits again. */
function open () {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let report
  let held = ''
  const take = () => {
    report = waiting.shift()
    if (report === undefined) idle.push(take)
    else socket.write(report.text, 'latin1')
  }
  socket.on('connect', take)
  socket.on('data', chunk => {
    // Whoever sends nothing for long is told so, and cut off.
    if (report === undefined) return
    held += chunk.latin1Slice()
    const end = held.indexOf('\r\n\r\n')
    const length = Number(/content-length: (\d+)/i.exec(held)?.[1])
    if (end === -1 || held.length < end + 4 + length) return
    const status = held.slice(9, 12)
    statuses[status] = (statuses[status] ?? 0) + 1
    if (status === '201' || status === '200') {
      acknowledged.set(/"id":"([^"]+)"/.exec(held)[1], performance.now() - report.madeAt)
    } else {
      const again = report
      setTimeout(() => say(again), RETRY_AFTER_MS)
    }
    report = undefined
    held = ''
    take()
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    const place = idle.indexOf(take)
    if (place !== -1) idle.splice(place, 1)
    if (report !== undefined) {
      unanswered++
      waiting.unshift(report)
    }
    if (!isOver) setTimeout(open, 100)
  })
}

function say (report) {
  waiting.push(report)
  idle.pop()?.()
}

let isOver = false
const events = []
const beganAt = new Date()
const began = performance.now()
const clock = () => `${((performance.now() - began) / 60_000).toFixed(2)} min`

async function killWhenDue () {
  for (const { part, what } of KILLS) {
    await delay(Math.max(0, began + part * MINUTES * 60_000 - performance.now()))
    const before = acknowledged.size
    const killedAt = performance.now()
    if (what !== 'the service') process.kill(Number((await readFile(join(dataDir, 'data/postmaster.pid'), 'utf8')).split('\n', 1)[0]), 'SIGKILL')
    if (what !== 'PostgreSQL') {
      process.kill(service.pid, 'SIGKILL')
      while (service.isAlive()) await delay(10)
      service = await startOurs(dataDir, { ...environment, LOG_LEVEL: 'info', PORT: String(port) })
    }
    while (acknowledged.size < before + CONNECTIONS) await delay(20)
    events.push(`at ${((killedAt - began) / 60_000).toFixed(2)} min kill -9 of ${what}: reports are taken again after ${((performance.now() - killedAt) / 1_000).toFixed(1)} s`)
    console.log(events.at(-1))
  }
}

async function makeReports () {
  let [rush, quiet] = [0, 0]
  for (let last = performance.now(); ;) {
    await delay(TICK_MS)
    const now = performance.now()
    const part = (now - began) / (MINUTES * 60_000)
    if (part >= 1) return
    rush += rateAt(part) * (now - last) / 1_000
    quiet += QUIET_PER_S * (now - last) / 1_000
    for (; rush >= 1; rush--) say(makeReport(true, part >= 0.2))
    for (; quiet >= 1; quiet--) say(makeReport(false, false))
    last = now
  }
}

const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))]

try {
  console.log(`${await describeMachine(connection)}
${MINUTES} minutes, up to ${PEAK} reports a second over ${CONNECTIONS} connections, on a fresh install with nothing learnt.\n`)
  for (let i = 0; i < CONNECTIONS; i++) open()
  const progress = setInterval(() => {
    console.log(`${clock()}: ${acknowledged.size} acknowledged, ${waiting.length} wait; ${JSON.stringify(statuses)}`)
  }, 30_000)
  await Promise.all([makeReports(), killWhenDue()])
  while (acknowledged.size < made) await delay(50)
  const lastAt = performance.now()
  clearInterval(progress)
  const stale = async () => (await ask(connection, 'select count(*)::integer as n from stale_minutes'))[0].n
  while (await stale() > 0) await delay(50)
  const recountedMs = performance.now() - lastAt

  const [{ rows, ids }] = await ask(connection, 'select count(*)::integer as rows, count(distinct id)::integer as ids from reports')
  let missing = 0
  const all = [...acknowledged.keys()]
  for (let i = 0; i < all.length; i += 50_000) {
    const [{ n }] = await ask(connection, 'select count(*)::integer as n from unnest($1::uuid[]) a(id) where not exists (select from reports where reports.id = a.id)', [all.slice(i, i + 50_000)])
    missing += n
  }
  const uneven = await ask(connection, `select from (select service_id, minute, count(*) as reports from reports where disposition = 0 group by 1, 2) r
    full join (select service_id, minute, sum(working + degraded + down) as windows from windows group by 1, 2) w using (service_id, minute) where reports is distinct from windows`)
  const waits = [...acknowledged.values()].sort((a, b) => a - b)
  const peakMiB = await readPeakMiB(service.pid)
  console.log(`
${made} reports were made, ${acknowledged.size} acknowledged; ${rows} rows, ${ids} ids; ${missing} acknowledged are missing, ${uneven.length} minutes where windows and reports differ
connections that ended without an answer: ${unanswered}; answers ${JSON.stringify(statuses)}
from being made to being acknowledged, kills included: p50 ${percentile(waits, 0.5).toFixed(1)}, p99 ${percentile(waits, 0.99).toFixed(0)}, most ${waits.at(-1).toFixed(0)} ms
every curve is up to date ${recountedMs.toFixed(0)} ms after the last acknowledgement; the service's memory ${peakMiB.toFixed(0)} MiB at most since the last start
${events.join('\n')}`)

  // A minute is judged 20 s after its end.
  await delay(85_000)
  const { items: outages } = await (await fetch(`http://127.0.0.1:${port}/v1/outages?limit=200`)).json()
  const riseAt = beganAt.getTime() + 0.2 * MINUTES * 60_000
  for (const { service, state, detected_at: detectedAt, onset_at: onsetAt } of outages) {
    console.log(`${service}: ${state}, detected ${((Date.parse(detectedAt) - riseAt) / 60_000).toFixed(1)} min after the rise began, onset ${onsetAt}`)
  }
  const seen = new Set(outages.map(({ service }) => service))
  const missed = FAILING.filter(([slug]) => !seen.has(slug)).map(([slug]) => slug)
  const wrong = WORKING.filter(slug => seen.has(slug))
  console.log(`of those that fail, not seen: ${missed.join(', ') || 'none'}; of those that work, flagged: ${wrong.join(', ') || 'none'}`)
  if (missing > 0 || rows !== made || ids !== rows || uneven.length > 0) throw new Error('something was lost or counted twice')
} finally {
  isOver = true
  await service.stop()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}
