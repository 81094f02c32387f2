// The load: reports over keep-alive connections, one request at a time on each, every one from a network of its own.
// A process of its own on bare sockets, since a full HTTP client would be the bound. Forked by ingest.mjs as
// `load.mjs <port> <connections> <warm-up ms> <measured ms> <first number> [<requests a second>]`; prints one line of JSON.
// Without a rate each connection asks again as soon as it is answered; with one, when it is its turn, and what it waited
// for its turn because of a late answer counts as waiting for the answer. Who is refused asks again at once.
// It tells as well how late connections had their first answer, and until when answers took longer than usual.
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

const [port, connections, warmUpMs, measuredMs, first, perSecond = Infinity] = process.argv.slice(2).map(Number)
const SERVICES = ['imessage', 'github']
const AGENTS = [
  'Mozilla/5.0 (iPhone; CPU iPhone OS 6_0_1 like Mac OS X) AppleWebKit/536.26 (KHTML, like Gecko) Version/6.0 Mobile/10A523 Safari/8536.25',
  'Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15'
]
const BODIES = SERVICES.flatMap(service => ['down', 'degraded', 'working'].flatMap(verdict => ['CA-ON', 'US-NY', 'DE'].map(region =>
  JSON.stringify({ service, verdict, region, device_class: 'iphone', symptom: 'sending', impact: 'blocked' }))))
const TEMPLATES = BODIES.map((body, i) => [
  `POST /v1/reports HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUser-Agent: ${AGENTS[i % AGENTS.length]}\r\nAccept: application/json\r\n` +
    'Content-Type: application/json\r\nX-Forwarded-For: ',
  `\r\nContent-Length: ${body.length}\r\n\r\n${body}`
])

/** An answer that took longer than this is not what is usual, ms. */
const SLOW_MS = 100

let next = first
/** What the next request says; its address is never in 127/8, where the proxies are. */
function nextRequest () {
  const n = next++
  const [head, tail] = TEMPLATES[n % TEMPLATES.length]
  return `${head}${128 + (n >> 16) % 96}.${(n >> 8) & 255}.${n & 255}.7${tail}`
}

const latencies = []
/** How long it took to be refused, ms. */
const refusals = []
/** How long it took each connection from the beginning to its first answer, ms. */
const firsts = []
/** The last moment at which an answer came late, ms from the beginning. */
let slowUntilMs = 0
const statuses = {}
let errors = 0
let accepted = 0
let phase = 'warm-up'
const startedAt = performance.now()

function converse (_, place) {
  return new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let dueAt = performance.now() + 1_000 * place / perSecond
    let sentAt = 0
    let held = ''
    let isFirst = true
    const send = () => {
      if (phase === 'over') return socket.end()
      sentAt = perSecond === Infinity ? performance.now() : dueAt
      dueAt += 1_000 * connections / perSecond
      socket.write(nextRequest(), 'latin1')
    }
    const sendInTurn = () => {
      const waitMs = dueAt - performance.now()
      if (waitMs > 0) setTimeout(send, waitMs)
      else send()
    }
    socket.on('connect', sendInTurn)
    socket.on('data', chunk => {
      held = held === '' ? chunk.latin1Slice() : held + chunk.latin1Slice()
      const end = held.indexOf('\r\n\r\n')
      if (end === -1) return
      const at = held.search(/content-length: /i) + 'content-length: '.length
      if (held.length < end + 4 + Number.parseInt(held.slice(at, end), 10)) return
      const status = held.slice(9, 12)
      held = ''
      const now = performance.now()
      if (isFirst) firsts.push(now - startedAt)
      isFirst = false
      if (now - sentAt > SLOW_MS) slowUntilMs = now - startedAt
      if (status === '201') accepted++
      if (phase === 'measured') {
        statuses[status] = (statuses[status] ?? 0) + 1
        if (status === '503') refusals.push(now - sentAt)
        else latencies.push(now - sentAt)
      }
      sendInTurn()
    })
    socket.on('error', () => { errors++ })
    socket.on('close', resolve)
  })
}

const conversations = Array.from({ length: connections }, converse)
await delay(warmUpMs)
phase = 'measured'
process.send('measured')
const began = performance.now()
const cpu = process.cpuUsage()
await delay(measuredMs)
phase = 'over'
process.send('over')
const elapsedS = (performance.now() - began) / 1000
const { user, system } = process.cpuUsage(cpu)
await Promise.all(conversations)
for (const waits of [latencies, refusals, firsts]) waits.sort((a, b) => a - b)
process.stdout.write(`${JSON.stringify({
  perSecond: latencies.length / elapsedS,
  p50: latencies[Math.floor(latencies.length * 0.5)],
  p99: latencies[Math.floor(latencies.length * 0.99)],
  refusedP99: refusals[Math.floor(refusals.length * 0.99)] ?? 0,
  // Who never had one counts as having waited until the end.
  firstP99: firsts[Math.floor(connections * 0.99)] ?? performance.now() - startedAt,
  slowUntilMs,
  statuses,
  errors,
  accepted,
  busy: (user + system) / 1e6 / elapsedS,
  busyKernel: system / 1e6 / elapsedS
})}\n`)
process.disconnect()
