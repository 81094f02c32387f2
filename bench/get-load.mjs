// The load of reads: one path over keep-alive connections, one request at a time on each, on bare sockets.
// Forked by reads.mjs as `get-load.mjs <port> <connections> <warm-up ms> <measured ms> <path>`; prints one line of JSON.
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

const [port, connections, warmUpMs, measuredMs] = process.argv.slice(2, 6).map(Number)
const REQUEST = `GET ${process.argv[6]} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAccept: */*\r\n\r\n`
const END = Buffer.from('\r\n\r\n')

const latencies = []
const statuses = {}
let errors = 0
let phase = 'warm-up'

function converse () {
  return new Promise(resolve => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let sentAt = 0
    let held = Buffer.alloc(0)
    let status = ''
    let missing = 0
    const send = () => {
      if (phase === 'over') return socket.end()
      sentAt = performance.now()
      socket.write(REQUEST, 'latin1')
    }
    const end = () => {
      if (phase === 'measured') {
        statuses[status] = (statuses[status] ?? 0) + 1
        latencies.push(performance.now() - sentAt)
      }
      send()
    }
    socket.on('connect', send)
    socket.on('data', chunk => {
      if (missing > 0) {
        missing -= chunk.length
        if (missing === 0) end()
        return
      }
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      const at = held.indexOf(END)
      if (at === -1) return
      const head = held.latin1Slice(0, at)
      status = head.slice(9, 12)
      missing = Number(/content-length: (\d+)/i.exec(head)[1]) - (held.length - at - END.length)
      held = Buffer.alloc(0)
      if (missing === 0) end()
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
latencies.sort((a, b) => a - b)
process.stdout.write(`${JSON.stringify({
  perSecond: latencies.length / elapsedS,
  p50: latencies[Math.floor(latencies.length * 0.5)],
  p99: latencies[Math.floor(latencies.length * 0.99)],
  statuses,
  errors,
  busy: (user + system) / 1e6 / elapsedS
})}\n`)
process.disconnect()
