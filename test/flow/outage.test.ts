// From people's reports to a flagged outage and back, through the real doors, on a fresh install.
import t from 'tap'
import { MINUTE_MS } from '../../src/core/time.ts'
import { addressOf, openTestApp } from '../app.ts'
import { createDatabase } from '../database.ts'

t.test('forty people in ten minutes are seen before those are over, and nothing else is', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T18:00:00Z') })
  let spoken = 0
  let suspectedAfter: number | undefined
  for (let minute = 1; minute <= 10; minute++) {
    for (let i = 0; i < 4; i++) {
      const { status } = await app.report({ service: 'imessage', verdict: 'down', device_class: 'ipad-wifi' }, addressOf(spoken++))
      t.equal(status, 201)
    }
    app.now = new Date(app.now.getTime() + 30_000)
    await app.jobs.tick()
    app.now = new Date(app.now.getTime() + 30_000)
    await app.jobs.tick()
    const { body } = await app.ask('/v1/outages')
    if (body.items.length > 0) suspectedAfter ??= minute
  }
  t.ok(suspectedAfter !== undefined && suspectedAfter <= 10, `suspected after ${suspectedAfter} minutes`)

  const { body: { items } } = await app.ask('/v1/outages')
  t.strictSame(items.map((outage: { service: string }) => outage.service), ['imessage'])
  const { body: outage } = await app.ask(`/v1/outages/${items[0].id}`)
  t.ok(Date.parse(outage.onset_at) >= Date.parse('2012-11-18T18:00:00Z'), 'it did not begin before anybody said so')
  t.ok(outage.timeline[0].reading.networks >= 7)
  t.match(outage.timeline[0].text, /people say|reports/)

  await app.passQuietly(180)
  const { body: after } = await app.ask(`/v1/outages/${items[0].id}`)
  t.match(after.state, /resolved|dismissed/, 'silence closes it')
  t.strictSame(after.timeline.slice(0, outage.timeline.length), outage.timeline, 'what was said stays said')
})

t.test('three people on one network change nothing, however long they go on', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T18:00:00Z') })
  for (let minute = 0; minute < 60; minute++) {
    for (const host of [1, 2, 3]) await app.report({ service: 'imessage', verdict: 'down', reporter: `${host}` }, `198.51.100.${host}`)
    await app.passMinute()
  }
  for (let minute = 0; minute < 3; minute++) await app.passMinute()
  t.strictSame((await app.ask('/v1/outages')).body.items, [])
  const { body } = await app.ask('/v1/services/imessage/curve?window=1h&from=2012-11-18T18:00:00Z&to=2012-11-18T19:00:00Z')
  t.equal(body.points[0].down, 12, 'three in each quarter of an hour, and no more')
})

t.test('six networks raise no alarm, whatever they send; the seventh does', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T18:00:00Z') })
  const shout = async (networks: number) => {
    for (let i = 0; i < networks; i++) {
      for (const reporter of ['a', 'b', 'c', 'd']) await app.report({ service: 'imessage', verdict: 'down', reporter }, addressOf(i))
    }
  }
  await shout(6)
  for (let minute = 0; minute < 16; minute++) await app.passMinute()
  await shout(6)
  for (let minute = 0; minute < 5; minute++) await app.passMinute()
  t.strictSame((await app.ask('/v1/outages')).body.items, [])
  const withheld = await app.database.query('select distinct networks from withheld')
  t.strictSame(withheld, [{ networks: 6 }], 'an alarm was asked for and withheld, and why')
  await shout(7)
  for (let minute = 0; minute < 3; minute++) await app.passMinute()
  t.equal((await app.ask('/v1/outages')).body.items.length, 1)
})

t.test('a restart in the midst changes no decision', async t => {
  const run = async (restart: boolean) => {
    const database = await createDatabase(t, { now: new Date('2012-11-18T17:50:00Z') })
    // Closed here, since one app follows another on the same database.
    const open = (now: Date) => openTestApp({ teardown: () => {} }, { now, database })
    let app = await open(new Date('2012-11-18T17:50:00Z'))
    let spoken = 0
    for (let minute = 0; minute < 90; minute++) {
      const count = minute % 7 === 0 ? 1 : minute > 30 && minute < 55 ? 5 : 0
      await Promise.all(Array.from({ length: count }, () => app.report({ service: 'imessage', verdict: 'down', device_class: 'mac' }, addressOf(spoken++))))
      await app.passMinute()
      if (restart && [12, 37, 41, 60].includes(minute)) {
        await app.close()
        app = await open(app.now)
      }
    }
    const { rows } = await app.database.pool.query(`select o.state, onset_at, onset_from, onset_to, detected_at, confirmed_at, recovering_at, severity,
      peak_start, peak_down, e.at, e.type, e.text, e.reading::text from outages o join outage_events e on e.outage_id = o.id order by e.at, e.id`)
    const states = await app.database.query('select service_id, judged_until, state::text from detector_states order by 1, 2')
    await app.close()
    return { rows, states }
  }
  const straight = await run(false)
  t.ok(straight.rows.length >= 2, 'there was an outage to speak of')
  t.strictSame(await run(true), straight)
})

t.test('what comes late is in the curve and is not judged', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T18:00:00Z') })
  await app.passMinute()
  app.now = new Date('2012-11-18T18:10:00Z')
  for (let i = 0; i < 60; i++) {
    await app.report({ service: 'imessage', verdict: 'down', observed_at: '2012-11-18T18:02:00Z' }, addressOf(i))
  }
  for (let minute = 0; minute < 5; minute++) await app.passMinute()
  const { body } = await app.ask('/v1/services/imessage/curve?window=1m&from=2012-11-18T18:02:00Z&to=2012-11-18T18:03:00Z')
  t.equal(body.points[0].down, 60)
  t.strictSame((await app.ask('/v1/outages')).body.items, [])
  const [row] = await app.database.query('select down, seen_down from windows')
  t.strictSame(row, { down: 60, seen_down: 0 })
})

t.test('minutes that nobody watched are a gap', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T18:00:00Z') })
  await app.passMinute()
  app.now = new Date(app.now.getTime() + 10 * MINUTE_MS)
  await app.passMinute()
  const { body } = await app.ask('/v1/services/imessage/curve?window=1m&from=2012-11-18T17:58:00Z&to=2012-11-18T18:12:00Z')
  t.strictSame(body.points.map((point: { gap: boolean }) => point.gap),
    [true, true, false, false, ...Array(10).fill(true)])
})
