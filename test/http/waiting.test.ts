import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import { limitStalling } from '../../src/http/waiting.ts'

/** A server on which a body must come within 200 ms, but for one call. */
async function open (t: { teardown: (end: () => unknown) => void }, held: Promise<void> = Promise.resolve()) {
  const app = Fastify()
  limitStalling(app, () => performance.now(), { withinMs: 200, sweepMs: 20 })
  app.post('/short', async () => ({ read: true }))
  app.post('/held', async () => held.then(() => ({ read: true })))
  app.post('/lasting', { config: { lasting: true } }, async () => ({ read: true }))
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  return (app.server.address() as AddressInfo).port
}

/** Sends a head and the first byte of a body; everything that comes back until the end of the connection. */
function stall (port: number, path: string) {
  const socket = connect(port, '127.0.0.1')
  let text = ''
  socket.on('data', chunk => { text += String(chunk) })
  socket.on('error', () => {})
  socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{`)
  return { socket, closed: once(socket, 'close').then(() => text) }
}

t.test('a body that stalls is given up, and its connection ended, however many there are', async t => {
  const port = await open(t)
  const answers = await Promise.all(Array.from({ length: 50 }, () => stall(port, '/short').closed))
  for (const answer of answers) t.match(answer, /^HTTP\/1\.1 408 .*\r\nContent-Type: application\/problem\+json[^]*"type":"\/problems\/timeout"/)
})

t.test('a call that lasts as long as its body does is left alone, and so is one whose body has come', async t => {
  const port = await open(t)
  const { socket, closed } = stall(port, '/lasting')
  t.match(await stall(port, '/short').closed, /408/, 'meanwhile others are given up')
  socket.write('}')
  const [chunk] = await once(socket, 'data')
  t.match(String(chunk), /^HTTP\/1\.1 200 [^]*{"read":true}$/)
  socket.end()
  await closed
})

t.test('whose body has come may wait for its answer as long as that takes', async t => {
  let release = () => {}
  const port = await open(t, new Promise(resolve => { release = resolve }))
  const { socket, closed } = stall(port, '/held')
  socket.write('}')
  t.match(await stall(port, '/short').closed, /408/, 'meanwhile others are given up')
  release()
  const [chunk] = await once(socket, 'data')
  t.match(String(chunk), /^HTTP\/1\.1 200 [^]*{"read":true}$/)
  socket.end()
  await closed
})
