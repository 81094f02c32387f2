import t from 'tap'
import { openTestApp } from '../app.ts'
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
