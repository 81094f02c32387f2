// How long a report takes to be told: one of a quiet service each INTERVAL_MS, in a region that nobody else names, until
// the public curve counts it. A process of its own, so that the load does not skew it. Forked by freshness.mjs as
// `prober.mjs <port> <measured ms> <first number>`; prints one line of JSON.
import { Agent, request } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

const [port, measuredMs, first] = process.argv.slice(2).map(Number)
/** Between two reports, and between two looks at the curve, ms. */
const INTERVAL_MS = 200
const POLL_MS = 50
/** A report that is not told by then is counted as so late. */
const LATEST_MS = 30_000
const SERVICE = 'slack'
const REGION = 'NZ'
const agent = new Agent({ keepAlive: true })

function ask (method, path, address, body) {
  return new Promise((resolve, reject) => {
    const asked = request({ agent, port, host: '127.0.0.1', method, path, headers: { 'x-forwarded-for': address, ...(body === undefined ? {} : { 'content-type': 'application/json' }) } }, answer => {
      let text = ''
      answer.on('data', chunk => { text += chunk })
      answer.on('end', () => resolve({ status: answer.statusCode, text }))
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

/** Reports of the region that the curve has now: of the whole run, since the curve is asked from a minute before it on. */
async function countTold (from) {
  const to = new Date(Math.ceil((Date.now() + 1) / 60_000) * 60_000).toISOString()
  const { status, text } = await ask('GET', `/v1/services/${SERVICE}/curve?region=${REGION}&window=1m&from=${from}&to=${to}`, '198.51.100.1')
  if (status !== 200) throw new Error(`the curve was answered with ${status}: ${text}`)
  return JSON.parse(text).points.reduce((sum, { down }) => sum + down, 0)
}

const from = new Date(Math.floor(Date.now() / 60_000) * 60_000 - 60_000).toISOString()
const before = await countTold(from)
const sentAt = []
const lags = []
const answered = []
const began = performance.now()
/** How many reports there are in all, once the last is sent. */
const sent = { all: Infinity }

async function send () {
  for (let n = first; performance.now() - began < measuredMs; n++) {
    const at = performance.now()
    const { status, text } = await ask('POST', '/v1/reports', `203.${(n >> 8) & 127}.${n & 255}.9`, JSON.stringify({ service: SERVICE, verdict: 'down', region: REGION }))
    if (status !== 201 || JSON.parse(text).disposition !== 'counted') throw new Error(`a report was answered with ${status}: ${text}`)
    // From when it is answered, and stored.
    answered.push(performance.now() - at)
    sentAt.push(performance.now())
    await delay(Math.max(0, INTERVAL_MS - (performance.now() - at)))
  }
  sent.all = sentAt.length
}

/** They are told in the order they came in: the n-th is there once n are counted. */
async function look () {
  for (let told = 0; told < sent.all;) {
    const count = await countTold(from) - before
    const now = performance.now()
    while (told < count && told < sentAt.length) lags.push(now - sentAt[told++])
    if (told < sentAt.length && now - sentAt[told] > LATEST_MS) throw new Error(`a report was not told in ${LATEST_MS} ms`)
    await delay(POLL_MS)
  }
}

await Promise.all([send(), look()])
agent.destroy()
process.stdout.write(`${JSON.stringify({ lags, answered })}\n`)
