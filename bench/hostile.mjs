// What honest people wait for while others are hostile: `npm run bench:hostile`; ROUNDS and SECONDS say how long.
// Three situations take turns on one service with its usual limits: nobody else; hundreds of sockets that drip headers or
// stall in the midst of a body; and ten times the connections that the ingest bench uses, each report a network of its own.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describeMachine, here, median, startOurs } from './servers.mjs'

const ROUNDS = Number(process.env.ROUNDS ?? 3)
const MEASURED_MS = Number(process.env.SECONDS ?? 10) * 1000
const WARM_UP_MS = 2_000
/** Honest people a second; each comes once, from a network of its own. */
const HONEST_PER_S = 20
const SLOW = 500
const LOAD_CONNECTIONS = 640
const SPAN = 700_000

const folder = await mkdtemp(join(tmpdir(), 'groundswell-bench-'))
await chmod(folder, 0o711)   // as root, PostgreSQL runs as somebody else
const service = await startOurs(join(folder, 'data'), { TRUST_PROXY: '127.0.0.0/8' })
const { port } = service
const agent = new Agent({ keepAlive: true })

let person = 0
/** One honest report, and how long its answer took, ms. */
function speak () {
  const n = person++
  const body = JSON.stringify({ service: 'facetime', verdict: n % 3 === 0 ? 'working' : 'down', region: 'CA' })
  const began = performance.now()
  return new Promise(resolve => {
    const sent = request({
      port,
      host: '127.0.0.1',
      path: '/v1/reports',
      method: 'POST',
      agent,
      headers: { 'content-type': 'application/json', 'content-length': body.length, 'x-forwarded-for': `${20 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}.9` }
    }, answer => {
      answer.resume().on('end', () => resolve({ ms: performance.now() - began, status: answer.statusCode }))
    })
    sent.on('error', error => resolve({ ms: performance.now() - began, status: error.code }))
    sent.end(body)
  })
}

async function measureHonest () {
  const answers = []
  const until = performance.now() + MEASURED_MS
  while (performance.now() < until) {
    answers.push(speak())
    await delay(1000 / HONEST_PER_S)
  }
  const told = await Promise.all(answers)
  const sorted = told.map(({ ms }) => ms).sort((a, b) => a - b)
  return {
    p50: sorted[Math.floor(sorted.length * 0.5)],
    p99: sorted[Math.floor(sorted.length * 0.99)],
    taken: told.filter(({ status }) => status === 201).length / told.length,
    rssMb: Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${service.pid}/status`, 'utf8'))[1]) / 1024
  }
}

/** Half of them drip a header's byte a second, half stop in the midst of a body; one that is ended comes again. */
function beSlow () {
  let over = false
  const sockets = new Set()
  const open = i => {
    const socket = connect({ port, host: '127.0.0.1' })
    sockets.add(socket)
    const head = 'POST /v1/reports HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
    socket.on('connect', () => socket.write(i % 2 === 0 ? `${head}X-Slow: ` : `${head}Content-Length: 80\r\n\r\n{"service":`))
    const dripping = i % 2 === 0 ? setInterval(() => socket.write('a'), 1000) : undefined
    socket.on('error', () => {})
    socket.resume().on('close', () => {
      clearInterval(dripping)
      sockets.delete(socket)
      if (!over) setTimeout(open, 100, i)
    })
  }
  for (let i = 0; i < SLOW; i++) open(i)
  return async () => {
    over = true
    for (const socket of sockets) socket.destroy()
    return ''
  }
}

let spans = 0
function crowd () {
  const load = fork(here('load.mjs'), [port, LOAD_CONNECTIONS, 0, MEASURED_MS + WARM_UP_MS, spans++ * SPAN].map(String), { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  let printed = ''
  load.stdout.on('data', chunk => { printed += chunk })
  return async () => {
    await once(load, 'close')
    const { perSecond, statuses } = JSON.parse(printed)
    return `${Math.round(perSecond)} requests/s of the load, ${JSON.stringify(statuses)}`
  }
}

const SITUATIONS = [['nobody else', () => async () => ''], [`${SLOW} slow sockets`, beSlow], [`${LOAD_CONNECTIONS} connections at full load`, crowd]]
const rounds = new Map(SITUATIONS.map(([name]) => [name, []]))
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, begin] of SITUATIONS) {
    const end = begin()
    await delay(WARM_UP_MS)
    const measured = await measureHonest()
    const told = await end()
    rounds.get(name).push(measured)
    process.stderr.write(`round ${round + 1}, ${name}: p50 ${measured.p50.toFixed(1)}, p99 ${measured.p99.toFixed(1)} ms; ${told}\n`)
  }
}
console.log(`${await describeMachine(service.connection)}
Honest: ${HONEST_PER_S} reports a second; medians of ${ROUNDS} rounds of ${MEASURED_MS / 1000} s`)
for (const [name, all] of rounds) {
  const of = key => median(all.map(each => each[key]))
  console.log(`${name.padEnd(34)} p50 ${of('p50').toFixed(1).padStart(6)} ms  p99 ${of('p99').toFixed(1).padStart(6)} ms  taken ${(100 * of('taken')).toFixed(1)} %  memory ${of('rssMb').toFixed(0)} MB`)
}
agent.destroy()
await service.stop()
await rm(folder, { recursive: true, force: true, maxRetries: 5 })
