// What bounds event streams: how many, how slow, how long, and the end of the service. What they tell stands in live.test.ts.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { cutOff, problem } from './contract.ts'
import { listen, type EventClient } from './events.ts'
import { openFailing } from './failing.ts'

const { database, app, openBeside, say } = await openFailing(t, { streamsPerAddressMax: 100 })

/** Writes one news of so many bytes. */
const sayMuch = (bytes: number) => app.asOwner(`with head as (update outbox_head set number = number + 1 returning number),
  written as (insert into outbox select head.number, gen_random_uuid(), at, now(), type, service_id, outage_id, json_build_object('much', repeat('x', ${bytes})) from outbox, head where outbox.number = 1)
  select pg_notify('groundswell_news', '')`)

/** A client that asks for the stream and never reads. */
async function openDeaf (url: string, from: string): Promise<Socket> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  await once(socket, 'connect')
  socket.pause()
  socket.write(`GET /v1/events HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ${from}\r\n\r\n`)
  return socket
}

t.test('a quiet stream has a comment now and then, and with it the number to resume from', async t => {
  const { address } = await openBeside({ heartbeatMs: 20 })
  const client = await listen(`${address}/v1/events?service=github`)
  await say('imessage', 'outage.updated')
  const [row] = await app.asOwner<{ number: string }>('select number from outbox_head')
  t.ok(await client.until(({ comments, lastId }) => comments.length >= 3 && lastId() === row!.number))
  t.ok(client.events.every(({ event }) => event === 'curve'))
  client.cut()
})

t.test('whoever does not read is cut, holds up nobody, and frees its place', async t => {
  const { address } = await openBeside({ streamsPerAddressMax: 1, bufferedBytesMax: 64 * 1024 })
  const events = `${address}/v1/events`
  const other = await listen(events, { 'x-forwarded-for': '192.0.2.2' })
  const deaf = await openDeaf(events, '192.0.2.1')
  const isOpen = async () => {
    const probe = await listen(events, { 'x-forwarded-for': '192.0.2.1' })
    probe.cut()
    await probe.ended
    return probe.status === 429
  }
  while (!await isOpen());
  let said = 0
  while (await isOpen() && said < 400) {
    await sayMuch(200_000)
    said += 1
    await other.until(({ events }) => events.length >= said)
  }
  t.ok(said > 1 && said < 400, `cut after ${said} times 200 kB`)
  t.equal(other.events.length, said)
  let received = 0
  deaf.on('data', chunk => { received += chunk.length }).on('error', () => {}).resume()
  await once(deaf, 'close')
  t.ok(received < said * 200_000, 'what it did not read is gone')
  other.cut()
})

t.test('one address has so many streams at most, all together so many, and a place that is left is free', async t => {
  const { address } = await openBeside({ streamsPerAddressMax: 2, streamsMax: 3 })
  const ask = (from: string) => listen(`${address}/v1/events`, { 'x-forwarded-for': from })
  const refused = async (from: string) => {
    const { status, headers, body } = await ask(from)
    t.match(headers['retry-after'], /^\d+$/)
    return { status, headers, body: body() }
  }
  const open = [await ask('2001:db8:0:1::1'), await ask('2001:db8:0:1::2')]
  problem(t, await refused('2001:db8:0:1::3'), 'rate-limited')
  t.equal((await fetch(`${address}/v1/events`, { method: 'HEAD', headers: { 'x-forwarded-for': '2001:db8:0:1::1' } })).status, 200, 'its head takes no place')
  open.push(await ask('192.0.2.1'))
  problem(t, await refused('192.0.2.2'), 'overloaded')
  t.strictSame(open.map(({ status }) => status), [200, 200, 200])
  open[0]!.cut()
  let again = await ask('2001:db8:0:1::4')
  while (again.status !== 200) again = await ask('2001:db8:0:1::4')
  problem(t, await refused('2001:db8:0:1::3'), 'rate-limited')
  for (const client of [...open, again]) client.cut()
})

t.test('what is refused takes no place', async t => {
  const { address } = await openBeside({ streamsPerAddressMax: 1 })
  for (const query of ['?service=nope', '?foo=1', '?last_event_id=x']) t.not((await listen(`${address}/v1/events${query}`)).status, 200)
  const client = await listen(`${address}/v1/events`)
  t.equal(client.status, 200)
  client.cut()
})

t.test('whoever leaves before it is answered leaves its place', async t => {
  const { address } = await openBeside({ streamsPerAddressMax: 3, streamsMax: 3 })
  for (let i = 0; i < 60; i++) {
    const socket = connect(Number(new URL(address).port), '127.0.0.1')
    await once(socket, 'connect')
    // With the end already behind it, or with the answer half way.
    await new Promise(resolve => socket.write('GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n', resolve))
    if (i % 2 === 0) socket.resetAndDestroy()
    else socket.destroy()
  }
  const clients: EventClient[] = []
  for (let tries = 0; clients.length < 3 && tries < 200; tries++) {
    const client = await listen(`${address}/v1/events`)
    if (client.status === 200) clients.push(client)
  }
  t.equal(clients.length, 3)
  for (const client of clients) client.cut()
})

t.test('a stream ends whole after its time, and its connection with it', async t => {
  const { address } = await openBeside({ lifetimeMs: 50 })
  const client = await listen(`${address}/v1/events`)
  t.equal(client.headers.connection, 'close')
  t.equal(await client.ended, true)
  const again = await listen(`${address}/v1/events`, { 'last-event-id': client.lastId() })
  t.equal(again.status, 200)
  t.equal(await again.ended, true)
})

t.test('without the database whoever comes is told so within 3 s, and whoever listens goes on listening and loses nothing', async t => {
  const { address } = await openBeside({ pollMs: 20, tickMs: 20 })
  const client = await listen(`${address}/v1/events?service=imessage`)
  const { begin, end } = cutOff(database)
  await begin()
  const begun = performance.now()
  const refused = await listen(`${address}/v1/events`)
  t.ok(performance.now() - begun < 3_000)
  problem(t, { status: refused.status, body: refused.body() }, 'unavailable')
  await end()
  await say('imessage', 'outage.updated')
  t.ok(await client.until(({ events }) => events.some(({ event }) => event === 'outage.updated')))
  client.cut()
})

t.test('the service stops at once, however many listen and even if they do not read', async t => {
  const { app, address } = await openBeside({ streamsPerAddressMax: 100 })
  const events = `${address}/v1/events`
  const clients = await Promise.all(Array.from({ length: 30 }, (_, i) => listen(`${events}${i % 2 === 0 ? '' : '?service=imessage'}`)))
  const deaf = await openDeaf(events, '192.0.2.9')
  for (let i = 1; i <= 40; i++) {
    await sayMuch(200_000)
    await clients[0]!.until(({ events }) => events.length >= i)
  }
  const begun = performance.now()
  await app.http.close()
  const tookMs = performance.now() - begun
  // A client that must be waited for keeps its connection for a minute and more.
  t.ok(tookMs < 5_000, `${Math.round(tookMs)} ms`)
  t.strictSame(await Promise.all(clients.map(({ ended }) => ended)), clients.map(() => true), 'all streams are whole')
  deaf.destroy()
})

t.test('nothing that is asked for behind something else on one connection keeps a place when that is gone', async t => {
  const { address } = await openBeside({ streamsPerAddressMax: 3 })
  const ask = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
  for (const requests of [ask('/v1/events').repeat(3), `${ask('/v1/services')}${ask('/v1/events')}`]) {
    for (let i = 0; i < 4; i++) {
      const socket = connect(Number(new URL(address).port), '127.0.0.1')
      await once(socket, 'connect')
      socket.write(requests)
      await once(socket, 'data')
      socket.destroy()
    }
    const clients: EventClient[] = []
    for (let tries = 0; clients.length < 3 && tries < 200; tries++) {
      const client = await listen(`${address}/v1/events`)
      if (client.status === 200) clients.push(client)
    }
    t.equal(clients.length, 3)
    for (const client of clients) client.cut()
  }
})
