import t from 'tap'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { addressOf, openTestApp, type TestApp } from '../app.ts'

const START = new Date('2012-11-18T12:00:00Z')

/** A few reports an hour for some days, and, when asked, an hour in which forty people say that it fails. */
function * history (days: number, outageAt?: number): Generator<object> {
  const from = START.getTime() - days * DAY_MS
  for (let at = from, i = 0; at < START.getTime(); at += 20 * MINUTE_MS, i++) {
    yield { service: 'imessage', verdict: i % 3 === 0 ? 'down' : 'working', device_class: 'mac', observed_at: new Date(at).toISOString(), reporter: `calm-${i}` }
  }
  if (outageAt === undefined) return
  for (let i = 0; i < 60; i++) {
    yield { service: 'imessage', verdict: 'down', device_class: 'mac', observed_at: new Date(outageAt + i * MINUTE_MS / 2).toISOString(), reporter: `cut-${i}` }
  }
}

async function importHistory (app: TestApp, items: Iterable<object>): Promise<void> {
  const { status, body } = await app.ask('/v1/reports/batch', {
    method: 'POST',
    headers: { authorization: `Bearer ${await app.token()}`, 'content-type': 'application/x-ndjson' },
    payload: [...items].map(item => JSON.stringify(item)).join('\n')
  })
  if (status !== 200 || body.refused > 0) throw new Error(JSON.stringify(body))
}

/** Lets the import settle and the jobs finish with it. */
async function settle (app: TestApp): Promise<void> {
  app.now = new Date(app.now.getTime() + 30_000)
  for (let i = 0; i < 60; i++) {
    await app.jobs.tick()
    if ((await app.database.query('select 1 from rejudge')).length === 0) return
  }
  throw new Error('the history was not judged')
}

t.test('after an import of past weeks the baseline is warm at once', async t => {
  const app = await openTestApp(t, { now: START })
  await importHistory(app, history(10))
  await settle(app)
  await app.passMinute()
  await app.passMinute()
  const { body } = await app.ask('/v1/services/imessage')
  t.equal(body.state, 'operational', 'ten days are enough to say so')
  const { body: { points } } = await app.ask('/v1/services/imessage/curve?window=1h&from=2012-11-17T00:00:00Z&to=2012-11-18T12:00:00Z')
  for (const point of points) {
    if (!(point.expected_down > 0.5 && point.expected_down < 2)) t.fail(`${point.start} expects ${point.expected_down}, where one an hour is usual`)
    if (point.gap || point.state !== 'operational') t.fail(`${point.start} was imported, watched and calm`)
  }
  t.equal(points.length, 36)
})

t.test('an outage that is open while history comes is still its reports\': gone when they are taken out, back when they are put back', async t => {
  const app = await openTestApp(t, { now: START })
  const headers = { authorization: `Bearer ${await app.token(['moderate', 'import'])}` }
  const state = async () => (await app.ask('/v1/outages')).body.items.map(({ state, retrospective }: any) => `${state} ${retrospective}`)
  for (let minute = 0; minute < 70; minute++) {
    if (minute > 60) await Promise.all(Array.from({ length: 12 }, (_, i) => app.report({ service: 'imessage', verdict: 'down', device_class: 'mac' }, addressOf(12 * minute + i))))
    await app.passMinute()
  }
  t.strictSame(await state(), ['confirmed false'])
  const old = [{ service: 'imessage', verdict: 'down', device_class: 'mac', observed_at: new Date(START.getTime() - DAY_MS).toISOString(), reporter: 'old' }]
  await importHistory(app, old)
  await settle(app)
  const filter = { service: 'imessage', from: START.toISOString() }
  const { status, body: action } = await app.ask('/v1/admin/moderation/actions', { method: 'POST', headers, payload: { action: 'exclude', filter, reason: 'a test' } })
  t.equal(status, 201)
  await app.jobs.tick()
  t.strictSame(await state(), ['dismissed false'])
  await importHistory(app, [{ ...old[0], reporter: 'older' }])
  await settle(app)
  t.equal((await app.ask(`/v1/admin/moderation/actions/${action.id}/revert`, { method: 'POST', headers, payload: { reason: 'a test' } })).status, 200)
  await app.jobs.tick()
  t.strictSame(await state(), ['confirmed false'])
})

t.test('an outage of the past is told as found in history, and once however often the past is imported', async t => {
  const app = await openTestApp(t, { now: START })
  const outageAt = START.getTime() - 3 * DAY_MS
  await importHistory(app, history(8, outageAt))
  await settle(app)
  const { body: { items } } = await app.ask('/v1/outages')
  t.equal(items.length, 1)
  t.equal(items[0].retrospective, true)
  t.ok(Math.abs(Date.parse(items[0].onset_at) - outageAt) < HOUR_MS)
  t.match(items[0].state, /resolved|dismissed/)
  const { body: first } = await app.ask(`/v1/outages/${items[0].id}`)

  await importHistory(app, history(9, outageAt))
  await settle(app)
  const { body: again } = await app.ask('/v1/outages')
  t.strictSame(again.items.map((item: { id: string }) => item.id), [items[0].id])
  const { body: second } = await app.ask(`/v1/outages/${items[0].id}`)
  t.strictSame(second.timeline, first.timeline)
})

t.test('what was said live stays said when history is imported, and an open outage stays open', async t => {
  const app = await openTestApp(t, { now: START })
  for (let minute = 0; minute < 8; minute++) {
    await Promise.all(Array.from({ length: 6 }, (_, i) => app.report({ service: 'imessage', verdict: 'down', device_class: 'mac' }, addressOf(minute * 6 + i))))
    await app.passMinute()
  }
  await app.passMinute()
  const { body: { items: [before] } } = await app.ask('/v1/outages')
  t.match(before.state, /suspected|confirmed/)
  await importHistory(app, history(5))
  await settle(app)
  const { body: { items } } = await app.ask('/v1/outages')
  t.strictSame(items.map(({ id, detected_at: detectedAt, retrospective }: Record<string, unknown>) => ({ id, detectedAt, retrospective })),
    [{ id: before.id, detectedAt: before.detected_at, retrospective: false }])
  await app.passQuietly(200)
  const { body: after } = await app.ask(`/v1/outages/${before.id}`)
  t.match(after.state, /resolved|dismissed/, 'and closes in its time')
})
