import t from 'tap'
import { HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { readAcknowledgements } from '../../src/db/acknowledgements.ts'
import { readNews } from '../../src/db/outbox.ts'
import { addressOf, openTestApp } from '../app.ts'
import { startVendor, summaryPage, type PageIncident } from '../vendor.ts'

const START = new Date('2026-03-02T12:00:00Z')
const at = (minutes: number) => new Date(START.getTime() + minutes * MINUTE_MS).toISOString().replace('.000Z', 'Z')
let people = 0

// Summaries are read at most once a second of the monotonic clock, which no test has time to wait for.
const monotonic = performance.now.bind(performance)
let skippedMs = 0
performance.now = () => monotonic() + skippedMs

/** An app that reads a vendor's page about GitHub, once a minute. */
async function open (t: Parameters<typeof openTestApp>[0], source: object = {}) {
  const app = await openTestApp(t, { now: START, allowPrivateTargets: true })
  const vendor = await startVendor(t)
  vendor.say(summaryPage(at(-60), [{ name: 'Git operations' }, { name: 'Pages' }], []))
  const headers = { authorization: `Bearer ${await app.token(['catalog'])}` }
  const { body: { id } } = await app.ask('/v1/admin/sources', {
    method: 'POST', headers, payload: { service: 'github', format: 'statuspage', url: vendor.url, enabled: true, ...source }
  })
  return {
    app,
    vendor,
    summary: async () => {
      skippedMs += 31_000
      return (await app.ask('/v1/services/github')).body
    },
    source: async () => (await app.ask(`/v1/admin/sources/${id}`, { headers })).body,
    outage: async () => {
      const { body: { items: [first] } } = await app.ask('/v1/outages?service=github')
      return first === undefined ? undefined : (await app.ask(`/v1/outages/${first.id}`)).body
    },
    pass: async (minutes: number, each = 0) => {
      for (let minute = 0; minute < minutes; minute++) {
        await Promise.all(Array.from({ length: each }, () => app.report({ service: 'github', verdict: 'down' }, addressOf(people++))))
        await app.passMinute()
      }
    }
  }
}

const incident = (updates: PageIncident['updates'], more: Partial<PageIncident> = {}): PageIncident =>
  ({ id: 'inc1', name: 'Git operations fail', updates, components: ['Git operations'], ...more })
const investigating = (minutes: number) => ({ at: at(minutes), status: 'investigating', body: 'We are looking into it.' })

t.test('nobody is called until a source is switched on', async t => {
  const { app, vendor, pass } = await open(t, { enabled: false })
  await pass(3)
  t.equal(vendor.requests.length, 0)
  t.strictSame(await app.database.query('select * from source_pages'), [])
  t.equal((await app.database.query('select 1 from sources where enabled')).length, 0, 'none of the seeded ones is on')
  t.ok((await app.database.query('select 1 from sources')).length > 20, 'though there are some')
})

t.test('a page is read once a minute, by conditional requests', async t => {
  const { vendor, summary, pass } = await open(t)
  await pass(5)
  t.ok(vendor.requests.length >= 4 && vendor.requests.length <= 5, `read ${vendor.requests.length} times in five minutes`)
  t.equal(vendor.requests[0]!.headers['if-none-match'], undefined)
  t.ok(vendor.requests.slice(1).every(({ headers }) => headers['if-none-match'] === '"1"'))
  t.match(await summary(), { official: { status: 'up', said_at: at(-60), source: new URL(vendor.url).host, url: vendor.url }, disputed: false })
})

t.test('a broken page marks the source stale, the official word becomes unknown, and nothing else is harmed', async t => {
  const { app, vendor, summary, source, pass } = await open(t)
  await pass(2)
  t.equal((await source()).stale, false)
  vendor.say('<html>we are moving</html>')
  await pass(2)
  t.match(await source(), { enabled: true, stale: true })
  t.match(await summary(), { official: { status: 'up' } }, 'for some minutes the last word stands')
  await pass(8)
  t.match(await summary(), { official: { status: 'unknown', said_at: null, checked_at: /Z$/ } })
  const [{ failures, error }] = await app.database.query('select failures, error from source_pages') as [{ failures: number, error: string }]
  t.ok(failures >= 3 && failures <= 8, `it is asked less and less often: ${failures} times in ten minutes`)
  t.match(error, /Expected a Statuspage v2 document/)
  vendor.say(summaryPage(at(0), [], []))
  await pass(20)
  t.match(await source(), { stale: false }, 'it recovers by itself')
  t.match(await summary(), { official: { status: 'up' } })
})

t.test('a page with more words than one statement may hold is read like any other', async t => {
  const { app, vendor, source, pass } = await open(t)
  const updates = Array.from({ length: 80 }, (_, i) => investigating(-i))
  vendor.say(summaryPage(at(0), [], Array.from({ length: 70 }, (_, i) => incident(updates, { id: `inc${i}` }))))
  await pass(2)
  t.match(await source(), { stale: false })
  t.strictSame(await app.database.query('select count(*)::integer from vendor_words'), [{ count: 5_600 }])
})

t.test('a page that makes up words without end is stale once it has said ten thousand in a day, and read again the day after', async t => {
  const { app, vendor, source, pass } = await open(t)
  const count = async () => (await app.database.query<{ count: number }>('select count(*)::integer from vendor_words'))[0]!.count
  const sayAnew = (first: number) => {
    const updates = Array.from({ length: 80 }, (_, i) => ({ ...investigating(-i), body: `Word ${first + i}.` }))
    vendor.say(summaryPage(at(0), [], Array.from({ length: 70 }, (_, i) => incident(updates, { id: `inc${i}` }))))
  }
  sayAnew(0)
  await pass(2)
  sayAnew(1_000)
  await pass(2)
  t.match(await source(), { stale: true })
  t.equal(await count(), 5_600, 'nothing of a reading too many is kept')
  app.now = new Date(app.now.getTime() + 24 * HOUR_MS)
  await pass(1)
  t.match(await source(), { stale: false })
  t.equal(await count(), 11_200)
})

t.test('a page that cannot be kept is stale and waits its turn, and the pages after it are read', async t => {
  const { app, vendor, source, pass } = await open(t)
  const other = await startVendor(t)
  other.say(summaryPage(at(0), [], []))
  const headers = { authorization: `Bearer ${await app.token(['catalog'])}` }
  for (let i = 0; i < 5; i++) {
    const payload = { service: 'slack', format: 'statuspage', url: `${other.url}?${i}`, enabled: true }
    t.equal((await app.ask('/v1/admin/sources', { method: 'POST', headers, payload })).status, 201)
  }
  await app.asOwner('alter table vendor_words add constraint refused check (false) not valid')
  vendor.say(summaryPage(at(0), [], [incident([investigating(0)])]))
  await pass(4)
  t.match(await source(), { stale: true })
  t.equal(new Set(other.requests.map(({ url }) => url)).size, 5)
  t.ok(vendor.requests.length <= 4, `asked ${vendor.requests.length} times in four minutes`)
})

t.test('the vendor is late: its incident acknowledges our outage with a positive lead time, and disputes end', async t => {
  const { app, vendor, summary, outage, pass } = await open(t)
  await pass(2)
  await pass(6, 12)
  const before = await outage()
  t.match(before, { state: 'confirmed', disputed: true, acknowledgement: null, lead_time_s: null })
  t.match(before.timeline.find((entry: { type: string }) => entry.type === 'disputed'), { at: before.detected_at, actor: 'vendor', text: /says that it works; people report that it does not\.$/ })
  t.match(await summary(), { state: 'outage', official: { status: 'up' }, disputed: true, disputed_since: before.detected_at })
  await pass(20, 12)
  vendor.say(summaryPage(at(28), [{ name: 'Git operations', status: 'major_outage' }], [incident([investigating(28)])]))
  await pass(3, 12)
  const acknowledged = await outage()
  t.match(acknowledged, {
    disputed: false,
    acknowledgement: { source: new URL(vendor.url).host, published_at: at(28), url: 'https://stspg.io/inc1' },
    lead_time_s: (Date.parse(at(28)) - Date.parse(before.detected_at)) / 1000
  })
  t.ok(acknowledged.lead_time_s > 20 * 60)
  t.match(acknowledged.timeline.find((entry: { type: string }) => entry.type === 'acknowledged'), { at: at(28), actor: 'vendor', text: /"Git operations fail"/ })
  t.match(await summary(), { official: { status: 'down', said_at: at(28) }, disputed: false, disputed_since: null })
  const types = (await readNews(app.database, 0, 50)).map(({ type }) => type)
  t.equal(types.filter(type => type === 'outage.disputed').length, 1)
  t.equal(types.filter(type => type === 'outage.acknowledged').length, 1)
})

t.test('admitted as over, yet still reported: it is disputed again, since the vendor said so', async t => {
  const { vendor, summary, outage, pass } = await open(t)
  await pass(2)
  vendor.say(summaryPage(at(3), [{ name: 'Git operations' }], [incident([investigating(3)])]))
  await pass(8, 12)
  t.match(await outage(), { disputed: false, acknowledgement: { published_at: at(3) } })
  vendor.say(summaryPage(at(11), [{ name: 'Git operations' }], []))
  await pass(3, 12)
  const { timeline, ...told } = await outage()
  t.match(told, { state: 'confirmed', disputed: true })
  t.match(timeline.filter((entry: { type: string }) => entry.type === 'disputed'), [{ text: /says that it works again.*people still report that it does not\.$/ }])
  const { official, disputed, disputed_since: since } = await summary()
  t.match({ official, disputed }, { official: { status: 'up' }, disputed: true })
  t.ok(since > at(10) && since <= at(12), `disputed since ${since}`)
  t.match(timeline.find((entry: { type: string }) => entry.type === 'disputed').at, since)
})

t.test('the vendor is first: what it said before is held against the outage that follows, with a negative lead time', async t => {
  const { vendor, outage, pass } = await open(t)
  await pass(2)
  vendor.say(summaryPage(at(2), [{ name: 'Git operations' }], [incident([investigating(2)])]))
  await pass(10)
  await pass(6, 12)
  const told = await outage()
  t.match(told, { disputed: false, acknowledgement: { published_at: at(2) } })
  t.ok(told.lead_time_s < 0, `lead time ${told.lead_time_s} s`)
})

t.test('an incident that nobody reports stands as an acknowledgement of nothing of ours', async t => {
  const { app, vendor, pass } = await open(t)
  await pass(2)
  vendor.say(summaryPage(at(3), [], [incident([investigating(3)])]))
  await pass(30)
  t.match(await readAcknowledgements(app.database, undefined, 10), [{ outageId: null, publishedAt: new Date(at(3)), incident: 'inc1', text: 'Git operations fail' }])
  t.strictSame((await readAcknowledgements(app.database, undefined, 10)).length, 1, 'once, however often it is read')
  t.match((await app.ask('/v1/lead-times')).body, { items: [{ kind: 'missed', service: 'github', acknowledged_at: at(3) }], summary: { missed: 1 } })
})

t.test('one incident may cover several outages, and a correction is a further word, never an overwrite', async t => {
  const { app, vendor, outage, pass } = await open(t)
  await pass(2)
  vendor.say(summaryPage(at(4), [], [incident([investigating(2)])]))
  await pass(6, 12)
  const moderator = { authorization: `Bearer ${await app.token(['moderate'])}` }
  const first = await outage()
  await app.ask(`/v1/admin/outages/${first.id}/resolve`, { method: 'POST', headers: moderator, payload: { reason: 'a part is back' } })
  vendor.say(summaryPage(at(9), [], [incident([{ at: at(9), status: 'identified', body: 'Found.' }, { at: at(2), status: 'investigating', body: 'We are looking into Git.' }])]))
  await pass(60)
  await pass(8, 14)
  const second = await outage()
  t.not(second.id, first.id)
  t.match(second, { acknowledgement: { published_at: at(2) } })
  t.match((await app.ask(`/v1/outages/${first.id}`)).body, { acknowledgement: { published_at: at(2) } })
  const about = (await readAcknowledgements(app.database, undefined, 10)).map(({ outageId }) => outageId)
  t.strictSame(new Set(about), new Set([first.id, second.id]), 'a row for each')
  t.equal(about.length, 2)
  t.match((await app.ask('/v1/lead-times')).body.summary, { acknowledged: 2, unacknowledged: 0, missed: 0 }, 'and neither is missed')
  const words = await app.database.query('select text from vendor_words order by published_at, seen_at')
  t.strictSame(words.map(({ text }) => text), ['We are looking into it.', 'We are looking into Git.', 'Found.'])
})

t.test('where a page names several services, each source hears of its own alone, and of its components', async t => {
  const { app, vendor, pass, summary } = await open(t, { names: ['Git operations'] })
  await pass(2)
  vendor.say(summaryPage(at(3), [{ name: 'Git operations' }, { name: 'Pages' }], [incident([investigating(3)], { id: 'pages', name: 'Pages are slow', components: ['Pages'] })]))
  await pass(3)
  t.match(await summary(), { official: { status: 'up' } }, 'Pages are not what this source is about')
  vendor.say(summaryPage(at(6), [{ name: 'Git operations' }], [incident([investigating(6)])]))
  await pass(3)
  t.match(await summary(), { official: { status: 'down', url: 'https://stspg.io/inc1' } })
  const components = (await app.ask('/v1/services/github')).body.components as { slug: string, name: string }[]
  const [{ components: named }] = await app.database.query('select components from vendor_words') as [{ components: string[] }]
  t.strictSame(named, components.filter(({ name }) => /git operations/i.test(name)).map(({ slug }) => slug))
})

t.test('a vendor who stops the world does not stop judging', async t => {
  const { app, vendor, pass, outage } = await open(t)
  await pass(1)
  vendor.say({ error: 'down' }, 503)
  await pass(4, 14)
  t.match(await outage(), { state: 'confirmed', disputed: true }, 'what was read before is still current')
  t.equal((await app.database.query('select judged_until from judging'))[0]!['judged_until'].getTime(), app.now.getTime() - MINUTE_MS)
  await pass(HOUR_MS / MINUTE_MS / 6, 12)
  t.match(await outage(), { disputed: false }, 'and then nobody knows what it says')
})
