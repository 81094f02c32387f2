import t from 'tap'
import { HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { Summary } from '../../src/http/services.ts'
import { addressOf, openTestApp, type TestApp } from '../app.ts'
import { exactly, members, problem } from './contract.ts'

// Summaries are held for a real second, and who speaks for half a minute: let those pass at will.
let skippedMs = 0
const clock = performance.now.bind(performance)
performance.now = () => clock() + skippedMs

async function read (app: TestApp, service = 'imessage') {
  skippedMs += 31_000
  const { body } = await app.ask(`/v1/services/${service}`)
  return body
}

t.test('a summary has the members of the contract', async t => {
  const app = await openTestApp(t)
  const { body: { items, next_cursor: next } } = await app.ask('/v1/services?limit=200')
  t.equal(next, null)
  for (const item of items) {
    exactly(t, Summary, item)
    members(t, item, 'slug name group components state since window outages official disputed disputed_since freshness workarounds fallbacks')
    members(t, item.window, 'start end working degraded down expected_down upper_down ratio')
    members(t, item.official, 'status said_at checked_at source url')
    members(t, item.freshness, 'state judged_until age_s')
    t.match(item, { official: { status: 'unknown' }, disputed: false, disputed_since: null, workarounds: [], outages: [] })
  }
  for (const { slug } of [items[0], items.at(-1)]) exactly(t, Summary, (await app.ask(`/v1/services/${slug}`)).body)
  const { fallbacks, components, group } = items.find(({ slug }: { slug: string }) => slug === 'imessage')
  t.equal(group, 'Apple')
  t.ok(components.length > 0)
  t.ok(fallbacks.some(({ device_class: name, fallback }: Record<string, string | null>) => name === 'iphone' && fallback === 'SMS'))
  t.ok(fallbacks.some(({ device_class: name, fallback }: Record<string, string | null>) => name === 'ipad-wifi' && fallback === null), 'that there is none is said')
})

t.test('unknown until enough is learnt and somebody speaks, then operational, suspected, an outage, recovering, and operational again', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T09:00:00Z') })
  const seen: string[] = []
  const look = async () => {
    const body = await read(app)
    exactly(t, Summary, body)
    if (seen.at(-1) !== body.state) seen.push(body.state)
    return body
  }
  t.match(await look(), { state: 'unknown', since: null, window: { expected_down: null, upper_down: null, ratio: null } })
  await app.report({ service: 'imessage', verdict: 'working' })
  for (let minute = 0; minute < 240; minute += 20) {
    await app.passQuietly(20)
    await look()
  }
  t.strictSame(seen, ['unknown', 'operational'])
  t.equal((await read(app, 'github')).state, 'unknown', 'nobody speaks of it')
  t.match(await look(), { window: { expected_down: Number, upper_down: Number, ratio: 0 } })

  let people = 1
  for (let minute = 0; minute < 12; minute++) {
    for (let i = 0; i < 3; i++) await app.report({ service: 'imessage', verdict: 'down' }, addressOf(people++))
    await app.passMinute()
    const body = await look()
    if (body.state === 'suspected' || body.state === 'outage') {
      t.equal(body.outages.length, 1)
      members(t, body.outages[0], 'id service state scope onset_at detected_at severity')
      t.match(body, { since: String, outages: [{ service: 'imessage', state: body.state === 'outage' ? 'confirmed' : 'suspected' }] })
    }
  }
  const { window } = await look()
  t.equal(window.down, 36)
  t.equal(Date.parse(window.end) - Date.parse(window.start), 15 * MINUTE_MS)
  t.ok(Math.abs(window.ratio - window.down / window.expected_down) < 1e-9)
  for (let minute = 0; minute < 240 && seen.at(-1) !== 'operational'; minute++) {
    await app.passMinute()
    await look()
  }
  t.strictSame(seen, ['unknown', 'operational', 'suspected', 'outage', 'recovering', 'operational'])
  const end = await look()
  t.strictSame(end.outages, [])
  t.equal(Date.parse(end.since), Date.parse(end.freshness.judged_until), 'since its end')

  app.now = new Date(app.now.getTime() + 25 * HOUR_MS)
  // Hours that nobody watched are caught up with some at a time.
  for (let minute = 0; minute < 12; minute++) await app.passMinute()
  t.match(await look(), { state: 'unknown', freshness: { state: 'current' } }, 'nobody has spoken for a day')
})

t.test('an answer out of old data says so, and how old it is', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T09:00:00Z') })
  await app.passMinute()
  await app.passMinute()
  const { freshness } = await read(app)
  t.match(freshness, { state: 'current', age_s: null })
  const judged = Date.parse(freshness.judged_until)
  app.now = new Date(judged + 180_000)
  t.match((await read(app)).freshness, { state: 'current', age_s: null })
  app.now = new Date(judged + 180_001)
  t.match(await read(app), { state: 'unknown', freshness: { state: 'stale', age_s: 180, judged_until: freshness.judged_until } })
  app.now = new Date(judged + 3 * HOUR_MS)
  t.match((await read(app)).freshness, { state: 'stale', age_s: 10_800 })
})

t.test('a report is answered with the summary as of now, also when nobody has asked for long', async t => {
  const app = await openTestApp(t)
  await app.report({ service: 'imessage', verdict: 'down' })
  await app.jobs.tick()
  skippedMs += 31_000
  app.now = new Date(app.now.getTime() + 5 * MINUTE_MS)
  const { body } = await app.report({ service: 'imessage', verdict: 'working' })
  t.match(body.service.window, { end: '2012-11-18T12:06:00Z', down: 1 })
})

t.test('pages follow one another by slug, whatever their length', async t => {
  const app = await openTestApp(t)
  const { body: { items } } = await app.ask('/v1/services?limit=200')
  const slugs = items.map(({ slug }: { slug: string }) => slug)
  t.strictSame([...new Set(slugs)].sort(), slugs)
  for (const limit of [1, 7, slugs.length - 1, slugs.length]) {
    const seen: string[] = []
    let cursor: string | null = ''
    while (cursor !== null) {
      const { body }: { body: any } = await app.ask(`/v1/services?limit=${limit}${cursor === '' ? '' : `&cursor=${cursor}`}`)
      members(t, body, 'items next_cursor')
      seen.push(...body.items.map(({ slug }: { slug: string }) => slug))
      cursor = body.next_cursor
    }
    t.strictSame(seen, slugs, `${limit} a page`)
  }
  for (const limit of ['0', '201', 'x', '1.5', '-1', '']) problem(t, await app.ask(`/v1/services?limit=${limit}`), 'invalid', ['/limit'])
  for (const cursor of ['x', 'eyJ9', Buffer.from('[1]').toString('base64url'), Buffer.from('["a","b"]').toString('base64url')]) {
    problem(t, await app.ask(`/v1/services?cursor=${cursor}`), 'invalid', ['/cursor'])
  }
  problem(t, await app.ask('/v1/services?device_class=toaster'), 'invalid', ['/device_class'])
  problem(t, await app.ask('/v1/services/imessage?device_class=toaster'), 'invalid', ['/device_class'])
  t.equal((await app.ask('/v1/services/imessage?device_class=mac')).status, 200)
})
