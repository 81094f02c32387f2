import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import pg from 'pg'
import t from 'tap'
import { addressOf, openTestApp } from '../app.ts'
import { createDatabase } from '../database.ts'
import { cutOff, members, problem } from './contract.ts'

t.test('a service that can take a report says so, and is not kept by caches', async t => {
  const app = await openTestApp(t)
  for (const [url, status] of [['/healthz', 'ok'], ['/readyz', 'ready']] as const) {
    const answer = await app.ask(url)
    t.equal(answer.status, 200)
    t.strictSame(answer.body, { status })
    t.equal(answer.headers['cache-control'], 'no-store')
    t.equal((await app.ask(url, { method: 'HEAD' })).status, 200)
  }
})

t.test('without its database it lives and is not ready, every call says 503, and it resumes by itself', async t => {
  const database = await createDatabase(t)
  const app = await openTestApp(t, { database })
  const body = { service: 'imessage', verdict: 'down' }
  const first = await app.report(body)
  const absence = cutOff(database)
  await absence.begin()
  t.equal((await app.ask('/healthz')).status, 200)
  const since = performance.now()
  const refused = [
    await app.ask('/readyz'), await app.ask('/v1/reports', { method: 'POST', payload: { ...body, verdict: 'working' }, headers: { 'x-forwarded-for': '192.0.2.1' } }), await app.ask('/v1/services/imessage/curve'), await app.ask('/v1/outages'),
    await app.ask('/v1/services/imessage/breakdown?by=region'), await app.ask('/v1/reports/batch', { method: 'POST', payload: [], headers: { authorization: 'Bearer gsw_x_y' } })
  ]
  t.ok(performance.now() - since < 6 * 3_000, 'each within three seconds')
  for (const answer of refused) {
    problem(t, answer, 'unavailable')
    t.match(answer.headers, { 'retry-after': /^[1-9]\d*$/ })
  }
  problem(t, await app.report({ ...body, verdict: 'broken' }), 'invalid', ['/verdict'])
  t.equal((await app.ask('/v1/regions')).status, 200, 'what needs no database is answered')
  await app.jobs.tick()
  await absence.end()
  t.equal((await app.ask('/readyz')).status, 200)
  t.match(await app.report(body), { status: 200, body: { id: first.body.id, disposition: 'duplicate' } })
  t.equal((await app.report({ ...body, verdict: 'working' })).status, 201, 'what was refused was not stored')
  app.now = new Date('2012-11-18T12:00:30Z')
  await app.jobs.tick()
  const { body: curve } = await app.ask('/v1/services/imessage/curve?window=1m&from=2012-11-18T12:00:00Z')
  members(t, curve, 'service window_s region device_class points')
  t.match(curve.points, [{ down: 1, working: 1 }])
})

t.test('a full queue refuses reports unread, and is a reason, told beside the others', async t => {
  const database = await createDatabase(t)
  const app = await openTestApp(t, { database, queueMax: 20 })
  const holder = new pg.Client(database.url)
  holder.on('error', () => {})
  await holder.connect()
  t.teardown(() => holder.end())
  // Nothing is committed as long as somebody holds the table.
  await holder.query('begin; lock table reports in access exclusive mode')
  let refuse = () => {}
  const refused = new Promise<void>(resolve => { refuse = resolve })
  const sent = Array.from({ length: 60 }, async (_, i) => {
    const answer = await app.report({ service: 'imessage', verdict: 'down' }, addressOf(i))
    if (answer.body.type === '/problems/overloaded') refuse()
    return answer.status
  })
  await refused
  const unread = await app.ask('/v1/reports', { method: 'POST', payload: '{', headers: { 'content-type': 'application/json' } })
  problem(t, unread, 'overloaded')
  t.equal(unread.headers['retry-after'], '5', 'refused before anything of it is read')
  t.equal(unread.headers['access-control-allow-origin'], '*', 'and other sites\' pages can read why')
  const full = await app.ask('/readyz')
  problem(t, full, 'unavailable')
  t.equal(full.body.detail, 'The queue of reports is full.')
  const absence = cutOff(database)
  await absence.begin()
  const both = await app.ask('/readyz')
  t.match(both.body.detail, /The database does not answer\./)
  t.strictSame([...new Set(await Promise.all(sent))], [503], 'nothing was acknowledged')
  t.equal((await app.ask('/readyz')).body.detail, 'The database does not answer.', 'an empty queue is no reason any more')
  await absence.end()
  t.equal((await app.ask('/readyz')).status, 200)
})

t.test('whoever asks while it stops hears so', async t => {
  const database = await createDatabase(t)
  const app = await openTestApp({ teardown: () => {} }, { database })
  await app.http.listen({ port: 0, host: '127.0.0.1' })
  const socket = connect((app.http.server.address() as AddressInfo).port, '127.0.0.1').setEncoding('utf8')
  t.teardown(() => socket.destroy())
  let answered = ''
  socket.on('data', text => { answered += text })
  // A request that has begun when the end comes is still answered: the second is half there once the first is answered.
  socket.write('GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /readyz HTTP/1.1\r\nHost: localhost\r\n')
  while (!answered.includes('ready"}')) await once(socket, 'data')
  const closed = app.close()
  socket.write('\r\n')
  await once(socket, 'end')
  t.match(answered, /HTTP\/1\.1 200 OK[\s\S]+HTTP\/1\.1 503 [\s\S]+"detail":"The service is stopping\."/)
  await closed
})
