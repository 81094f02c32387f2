import t from 'tap'
import { transact } from '../../src/db/client.ts'
import { announce, findNewsRange, pruneNews, readNews } from '../../src/db/outbox.ts'
import { OutageItem } from '../../src/http/outages.ts'
import { addressOf, openTestApp } from '../app.ts'

let people = 0

/** An app in which people fail until an outage is confirmed. */
async function openFailing (t: Parameters<typeof openTestApp>[0]) {
  const app = await openTestApp(t)
  await app.passMinute()
  for (let minute = 0; minute < 5; minute++) {
    await Promise.all(Array.from({ length: 12 }, () => app.report({ service: 'imessage', verdict: 'down', device_class: 'ipad-wifi' }, addressOf(people++))))
    await app.passMinute()
  }
  await app.passMinute()
  const { body } = await app.ask('/v1/outages')
  const outage: { id: string, detected_at: string } = body.items[0]
  return { app, outage }
}

t.test('every step of an outage is news, in order, each with the outage as it stood then', async t => {
  const { app, outage } = await openFailing(t)
  const news = await readNews(app.database, 0, 10)
  t.match(news, [
    { number: 1, type: 'outage.suspected', at: new Date(outage.detected_at), outageId: outage.id },
    { number: 2, type: 'outage.confirmed', outageId: outage.id }
  ])
  t.equal(news.length, 2)
  const [suspected, confirmed] = news.map(({ data }) => OutageItem.strict().parse(JSON.parse(data)))
  t.match(suspected, { id: outage.id, service: 'imessage', state: 'suspected', confirmed_at: null })
  t.match(confirmed, { state: 'confirmed', confirmed_at: /Z$/, device_impact: [{ device_class: 'ipad-wifi', fallback: null }] })
  t.strictSame(await findNewsRange(app.database), { oldest: 1, newest: 2 })
  t.strictSame((await readNews(app.database, 1, 10)).map(({ number }) => number), [2], 'what came after a number')
  t.strictSame(await readNews(app.database, 0, 10, 1e6), [], 'of one service alone')
})

t.test('a moderator\'s words and the vendor\'s are news as well', async t => {
  const { app, outage } = await openFailing(t)
  const headers = { authorization: `Bearer ${await app.token(['moderate'])}` }
  const post = async (url: string, payload: object) => {
    const { status } = await app.ask(`/v1/admin${url}`, { method: 'POST', headers, payload })
    t.ok(status < 300, `${url}: ${status}`)
  }
  await post('/acknowledgements', { service: 'imessage', source: 'Apple', published_at: app.now.toISOString() })
  await post(`/outages/${outage.id}/annotate`, { reason: 'Apple rang' })
  await post(`/outages/${outage.id}/resolve`, { reason: 'It is over' })
  const news = (await readNews(app.database, 2, 10)).map(({ type, data }) => ({ type, ...JSON.parse(data) }))
  t.match(news, [
    { type: 'outage.acknowledged', acknowledgement: { source: 'Apple' }, lead_time_s: Number },
    { type: 'outage.updated', state: 'confirmed' },
    { type: 'outage.resolved', state: 'resolved', resolved_at: /Z$/ }
  ])
  t.equal(news.length, 3)
})

t.test('numbers commit in order: whoever writes later waits for whoever wrote before, and one that is rolled back leaves no hole', async t => {
  const { app, outage } = await openFailing(t)
  const change = { type: 'outage.updated' as const, serviceId: 1, outageId: outage.id, at: app.now }
  const serviceId = (await app.database.query<{ service_id: number }>('select service_id from outages'))[0]!.service_id
  let second: Promise<void> | undefined
  const order: string[] = []
  await transact(app.database, async tx => {
    await announce(tx, [{ ...change, serviceId }])
    second = transact(app.database, tx => announce(tx, [{ ...change, serviceId }])).then(() => { order.push('second') })
    // The second has reached the outbox when it waits for a lock.
    while ((await app.database.query("select 1 from pg_stat_activity where wait_event_type = 'Lock' and query like 'update outbox_head%' and datname = current_database()")).length === 0);
    order.push('first')
  })
  await second
  t.strictSame(order, ['first', 'second'])
  await transact(app.database, async tx => {
    await announce(tx, [{ ...change, serviceId }])
    throw new Error('rolled back')
  }).catch(() => {})
  await transact(app.database, tx => announce(tx, [{ ...change, serviceId }]))
  t.strictSame((await readNews(app.database, 2, 10)).map(({ number }) => number), [3, 4, 5])
})

t.test('news are kept a week, and their numbers go on', async t => {
  const { app } = await openFailing(t)
  await app.asOwner("update outbox set written_at = now() - interval '8 days' where number = 1")
  await pruneNews(app.database)
  t.strictSame(await findNewsRange(app.database), { oldest: 2, newest: 2 })
  await app.asOwner('delete from outbox')
  t.strictSame(await findNewsRange(app.database), { oldest: 3, newest: 2 })
})
