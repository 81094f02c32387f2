import t from 'tap'
import { addressOf, openTestApp } from '../app.ts'
import { createDatabase } from '../database.ts'
import { dumpRedis, NO_REDIS, startRedis } from '../redis.ts'
import { problem } from './contract.ts'

const UNLIMITED = { max: 1_000_000, windowS: 60 }
const report = { service: 'imessage', verdict: 'down' }

t.test('two instances share their limits and voices, and Redis holds no address', { skip: NO_REDIS }, async t => {
  const redis = await startRedis(t)
  const database = await createDatabase(t)
  const options = { database, redisUrl: redis.url, limits: { reports: { max: 6, windowS: 60 }, reads: UNLIMITED, admin: UNLIMITED, global: { max: 20, windowS: 60 } } }
  const apps = [await openTestApp(t, options), await openTestApp(t, options)]
  const told = []
  for (let i = 0; i < 8; i++) told.push(await apps[i % 2]!.report({ ...report, reporter: `nonce ${i}` }, '203.0.113.77'))
  t.strictSame(told.map(({ status }) => status), [201, 201, 201, 201, 201, 201, 429, 429])
  t.strictSame(told.slice(0, 6).map(({ body }) => body.disposition), ['counted', 'counted', 'counted', 'quarantined', 'quarantined', 'quarantined'])
  problem(t, told[7]!, 'rate-limited')
  t.equal(told[0]!.headers['ratelimit'], '"reports";r=5;t=60')
  t.match(told[7]!.headers['ratelimit'], /^"reports";r=0;t=\d+$/)
  t.equal((await apps[0]!.report(report, '2001:db8:0:1::5')).headers['ratelimit'], '"reports";r=5;t=60')
  t.equal((await apps[1]!.report(report, '2001:db8:0:1:9::6')).headers['ratelimit'], '"reports";r=4;t=60', 'a /64 is one')

  const all = []
  for (let i = 0; i < 16; i++) all.push((await apps[i % 2]!.report(report, addressOf(i))).status)
  t.strictSame(all, [...Array(12).fill(201), ...Array(4).fill(429)], 'all together: six and two were there, of eight that were let in')

  const held = await dumpRedis(redis)
  t.match(held, /groundswell:limit:reports:[0-9a-f]{32}\n/)
  t.match(held, /groundswell:voices:\d+:\d+\n/)
  t.notMatch(held, /203\.0\.113|2001:db8|100\.64|::1|127\.0\.0|nonce/)
  for (const key of await redis.client.keys('*')) t.ok(await redis.client.pttl(key) > 0, 'nothing is kept for ever')
})

t.test('without Redis each instance limits for itself, neither open nor closed', { skip: NO_REDIS }, async t => {
  const redis = await startRedis(t)
  const app = await openTestApp(t, { redisUrl: redis.url, limits: { reports: { max: 3, windowS: 60 }, reads: UNLIMITED, admin: UNLIMITED } })
  const ask = async () => (await app.report(report, '203.0.113.77')).status
  t.strictSame([await ask(), await ask()], [201, 200])
  await redis.stop()
  t.strictSame([await ask(), await ask(), await ask(), await ask()], [200, 200, 200, 429])
  t.equal((await app.ask('/readyz')).status, 200)
})

t.test('a service starts without its Redis', async t => {
  const app = await openTestApp(t, { redisUrl: 'redis://127.0.0.1:1', limits: { reports: { max: 2, windowS: 60 }, reads: UNLIMITED, admin: UNLIMITED } })
  const told = [await app.report(report, '203.0.113.77'), await app.report(report, '203.0.113.77'), await app.report(report, '203.0.113.77')]
  t.strictSame(told.map(({ status }) => status), [201, 200, 429])
})
