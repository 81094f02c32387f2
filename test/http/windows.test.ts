import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { DAY_MS } from '../../src/core/time.ts'
import { openTestApp } from '../app.ts'
import { problem } from './contract.ts'

const NOW = new Date('2012-11-18T12:34:56.789Z')
const app = await openTestApp(t, { now: NOW })
t.beforeEach(() => { app.now = NOW })
const ask = (query = '', service = 'imessage') => app.ask(`/v1/services/${service}/windows?${query}`)
const linesOf = (text: string): Record<string, unknown>[] => text.split('\n').slice(0, -1).map(line => JSON.parse(line))

t.test('an export begins where a service began to be watched, ends with what was judged, and holds what was seen in time', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T18:00:00Z') })
  await app.report({ service: 'github', verdict: 'down', region: 'CA-ON', device_class: 'mac' }, '192.0.2.1')
  await app.report({ service: 'imessage', verdict: 'down' }, '192.0.2.1')
  for (let minute = 0; minute < 6; minute++) await app.passMinute()
  await app.report({ service: 'github', verdict: 'working', observed_at: '2012-11-18T18:02:00Z' }, '192.0.2.2')
  await app.passMinute()
  const { headers, text } = await app.ask('/v1/services/github/windows')
  t.match(headers, { 'content-type': 'application/x-ndjson; charset=utf-8', 'cache-control': 'public, max-age=2' })
  const zeros = { service: 'github', start: '2012-11-18T18:05:00Z', width_s: 60, region: 'ZZ', device_class: 'unknown', working: 0, degraded: 0, down: 0 }
  t.strictSame(linesOf(text), [
    { service: 'github', start: '2012-11-18T18:00:00Z', width_s: 60, expected_per_hour: 2, region: 'CA-ON', device_class: 'mac', working: 0, degraded: 0, down: 1 }, zeros
  ], 'what came late was not judged, nor is the minute that runs')
  const part = await app.ask('/v1/services/github/windows?from=2012-11-18T18:01:30Z&to=2012-11-18T18:03:10Z')
  t.strictSame(linesOf(part.text), [{ ...zeros, start: '2012-11-18T18:01:00Z', expected_per_hour: 2 }, { ...zeros, start: '2012-11-18T18:03:00Z' }])
  t.equal((await app.ask('/v1/services/github/windows?from=2012-11-18T18:06:30Z')).text, '', 'what is not judged yet is not told')
  const head = await app.ask('/v1/services/github/windows', { method: 'HEAD' })
  t.strictSame([head.status, head.text], [200, ''])
  for (const name of ['content-length', 'etag']) t.notOk(name in head.headers, 'nothing is said of what was not made')
})

t.test('what cannot be answered is refused, and the parameter named', async t => {
  const day = (days: number) => new Date(NOW.getTime() - days * DAY_MS).toISOString()
  for (const [query, pointer] of [
    [`from=${day(35.1)}`, '/from'], [`to=${day(36)}`, '/to'], ['from=2012-11-18T12:00:00Z&to=2012-11-18T12:00:00Z', '/from'], ['from=2012-11-18T12:40:00Z', '/from'], ['from=x', '/from'], ['to=', '/to']
  ]) problem(t, await ask(query), 'invalid', [pointer!])
  t.equal((await ask(`from=${day(34.9)}`)).status, 200)
  t.equal((await ask(`to=${day(30)}`)).text, '', 'nobody watched then')
  problem(t, await ask('window=1m'), 'malformed', ['/window'])
  problem(t, await ask('', 'nope'), 'not-found')
  problem(t, await app.ask('/v1/services/imessage/windows', { headers: { accept: 'text/csv' } }), 'not-acceptable')
})

t.test('more than eight exports at once are refused; those under way are whole', async t => {
  await app.asOwner("update services set live_since = '2012-11-10T00:00:00Z' where slug = 'imessage'")
  await app.asOwner("insert into watched select generate_series('2012-11-10T00:00:00Z'::timestamptz, '2012-11-12T00:00:00Z', '1 minute')")
  const whole = (await ask()).text
  t.equal(linesOf(whole).filter(line => 'gap' in line).length, 1)
  const answers = await Promise.all(Array.from({ length: 12 }, () => ask()))
  const refused = answers.filter(({ status }) => status !== 200)
  t.equal(refused.length, 4)
  for (const answer of refused) {
    t.match(answer, { status: 503, body: { type: '/problems/overloaded' } })
    t.ok(Number(answer.headers['retry-after']) > 0)
  }
  t.ok(answers.filter(({ status }) => status === 200).every(({ text }) => text === whole))
  t.equal((await ask()).status, 200, 'there is room again')
})

t.test('a reader that stalls does not hold up the end', async t => {
  const app = await openTestApp({ teardown: () => {} }, { now: NOW })
  await app.asOwner("update services set live_since = '2012-10-20T00:00:00Z'")
  await app.asOwner("insert into watched select generate_series('2012-10-20T00:00:00Z'::timestamptz, '2012-11-18T12:30:00Z', '1 minute')")
  await app.asOwner(`insert into windows select id, minute, 'CA-ON', 'mac', 0, 0, 1, 0, 0, 1
    from services, generate_series('2012-10-20T00:00:00Z'::timestamptz, '2012-11-18T12:30:00Z', '1 minute') minute where slug = 'imessage'`)
  await app.http.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.http.server.address() as AddressInfo
  const request = get(`http://127.0.0.1:${port}/v1/services/imessage/windows`)
  const [response] = await once(request, 'response') as [IncomingMessage]
  t.equal(response.statusCode, 200)
  await once(response, 'readable')
  const cut = once(response, 'error')
  await app.close()
  response.resume()
  t.match((await cut)[0], { code: 'ECONNRESET' }, 'who reads on is told that it broke off')
})
