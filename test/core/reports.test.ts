import { createHmac } from 'node:crypto'
import t from 'tap'
import { Fault } from '../../src/core/faults.ts'
import { coarseClient, isLate, observedMinute, OBSERVED_AGE_MAX_MS, uuid8 } from '../../src/core/reports.ts'

const NOW = new Date('2012-11-18T19:07:30.500Z')

t.test('a report counts in the minute in which it was observed', async t => {
  const minuteOf = (observed?: string) => new Date(observedMinute(observed === undefined ? undefined : new Date(observed), OBSERVED_AGE_MAX_MS, NOW)).toISOString()
  t.equal(minuteOf(), '2012-11-18T19:07:00.000Z')
  t.equal(minuteOf('2012-11-18T18:59:59.999Z'), '2012-11-18T18:59:00.000Z')
  t.equal(minuteOf('2012-11-18T19:09:30Z'), '2012-11-18T19:07:00.000Z', 'a clock two minutes ahead is taken as now')
  t.equal(minuteOf('2012-11-17T19:07:30.500Z'), '2012-11-17T19:07:00.000Z', 'exactly a day ago is accepted')
})

t.test('an observation too old or in the future is refused by name', async t => {
  for (const observed of ['2012-11-18T19:09:31Z', '2012-11-17T19:07:30Z']) {
    t.throws(() => observedMinute(new Date(observed), OBSERVED_AGE_MAX_MS, NOW), { code: 'invalid', errors: [{ pointer: '/observed_at' }] })
  }
  try {
    observedMinute(new Date(0), OBSERVED_AGE_MAX_MS, NOW)
  } catch (error) {
    t.ok(error instanceof Fault)
  }
})

t.test('a report is late from ten seconds after its minute on; history never is', async t => {
  const minute = Date.parse('2012-11-18T19:06:00Z')
  const at = (iso: string) => new Date(iso)
  t.notOk(isLate({ minute, history: false }, 1, at('2012-11-18T19:07:09.999Z')))
  t.ok(isLate({ minute, history: false }, 1, at('2012-11-18T19:07:10Z')))
  t.notOk(isLate({ minute, history: true }, 1, at('2012-11-19T19:07:10Z')))
  t.notOk(isLate({ minute, history: false }, 60, at('2012-11-18T19:07:59Z')), 'a real second on a clock sixty times as fast')
  t.ok(isLate({ minute, history: false }, 60, at('2012-11-18T19:08:00Z')))
})

t.test('an id is a UUID of version 8 that keeps the digest\'s other bits', async t => {
  const digest = createHmac('sha256', 'key').update('x').digest()
  const id = uuid8(digest.toString('hex', 0, 16))
  t.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  t.equal(id.slice(0, 8), digest.toString('hex').slice(0, 8))
  t.equal(id.slice(24), digest.subarray(10, 16).toString('hex'))
})

t.test('a user agent is coarsened to its platform', async t => {
  t.equal(coarseClient('Mozilla/5.0 (iPad; CPU OS 6_0 like Mac OS X)'), 'ipad')
  t.equal(coarseClient('Mozilla/5.0 (iPhone; CPU iPhone OS 6_0_1 like Mac OS X)'), 'iphone')
  t.equal(coarseClient('Mozilla/5.0 (Macintosh; Intel Mac OS X 10_8)'), 'mac')
  t.equal(coarseClient('Mozilla/5.0 (Linux; Android 4.1)'), 'android')
  t.equal(coarseClient('curl/8.0'), 'other')
  t.equal(coarseClient(undefined), 'other')
})
