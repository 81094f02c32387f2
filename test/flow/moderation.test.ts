// One evening of people who lie, people who do not, and a moderator: all through HTTP.
import t from 'tap'
import { MINUTE_MS } from '../../src/core/time.ts'
import { addressOf, openTestApp } from '../app.ts'

const START = new Date('2012-11-18T12:00:00Z')
const VOICES_MAX = 3
const MINUTES = 10
const AGENTS = ['Mozilla/5.0 (iPhone; CPU iPhone OS 6_0)', 'Mozilla/5.0 (Macintosh)', 'Mozilla/5.0 (Windows NT 6.1)', 'curl/7', undefined]
/** Five who act together, each from a network of its own. */
const COLLUDERS = ['198.51.100.9', '203.0.113.9', '192.0.2.9', '2001:db8:1::9', '198.18.5.9']

const app = await openTestApp(t, { now: START })
const moderator = { authorization: `Bearer ${await app.token(['moderate'])}` }
const admin = async (path: string, payload?: object) => app.ask(`/v1/admin/${path}`, payload === undefined ? { headers: moderator } : { method: 'POST', headers: moderator, payload })
const outagesOf = async (service: string) => (await app.ask(`/v1/outages?service=${service}`)).body.items
const totalOf = async (service: string) => {
  const { points } = (await app.ask(`/v1/services/${service}/curve?window=15m&from=2012-11-18T12:00:00Z&to=2012-11-18T13:00:00Z`)).body
  return points.reduce((sum: number, point: any) => sum + point.down + point.degraded, 0)
}
let forged = 0
const lie = (service: string, from: string) => {
  const i = forged++
  const agent = AGENTS[i % AGENTS.length]
  // What the liar writes before its own address, which the proxy appends, is believed by nobody.
  return app.report({ service, verdict: i % 3 === 0 ? 'degraded' : 'down', reporter: `nonce ${i}`, device_class: i % 2 === 0 ? 'iphone' : 'mac' },
    `${addressOf(i)}, 10.1.${i % 250}.1, ${from}`, agent === undefined ? {} : { 'user-agent': agent })
}
let person = 0
const crowd = async (service: string, perMinute: number) => {
  await Promise.all(Array.from({ length: perMinute }, () => app.report({ service, verdict: 'down' }, addressOf(person++))))
}

t.test('five who collude and one who floods raise nothing, while a crowd of forty is seen', async t => {
  const replayed = { service: 'imessage', verdict: 'down', observed_at: START.toISOString(), reporter: 'again' }
  for (let minute = 0; minute < MINUTES; minute++) {
    for (const address of COLLUDERS) {
      for (let i = 0; i < 6; i++) await lie('imessage', address)
      await app.report(replayed, address)
    }
    for (let i = 0; i < 50; i++) await lie('github', `203.0.113.${minute * 25 + i % 25}`)
    await crowd('facetime', 4)
    await app.passMinute()
  }
  await app.passMinute()

  const kept = await app.database.query<{ slug: string, counted: number, held: number, networks: number, most: number }>(`
    select slug, sum(counted)::integer as counted, sum(held)::integer as held, count(*)::integer as networks, max(counted)::integer as most from (
      select service_id, network, count(*) filter (where disposition = 0) as counted, count(*) filter (where disposition = 1) as held
      from reports group by 1, interval_at, 2) n join services on id = service_id group by 1 order by 1`)
  t.strictSame(kept, [
    { slug: 'facetime', counted: 40, held: 0, networks: 40, most: 1 },
    { slug: 'github', counted: VOICES_MAX, held: 50 * MINUTES - VOICES_MAX, networks: 1, most: VOICES_MAX },
    // Each of the five: six forged ones a minute, and the replayed one, which is one report however often it is sent.
    { slug: 'imessage', counted: COLLUDERS.length * VOICES_MAX, held: COLLUDERS.length * (6 * MINUTES + 1 - VOICES_MAX), networks: COLLUDERS.length, most: VOICES_MAX }
  ])
  t.equal(await totalOf('imessage'), COLLUDERS.length * VOICES_MAX)
  t.equal(await totalOf('github'), VOICES_MAX)
  t.strictSame(await outagesOf('imessage'), [])
  t.strictSame(await outagesOf('github'), [])
  const [seen] = await outagesOf('facetime')
  t.match(seen, { service: 'facetime', scope: { region: '*', device_class: '*' } })
  t.ok(Date.parse(seen.detected_at) <= START.getTime() + MINUTES * MINUTE_MS, 'before the ten minutes were over')
})

t.test('what was held back is shown to the moderator, with its reason', async t => {
  const { items } = (await admin('quarantine')).body
  const held = (service: string) => items.filter((item: any) => item.service === service).map(({ reason, count }: any) => ({ reason, count }))
  t.strictSame(held('github'), [{ reason: 'voices', count: 497 }])
  t.strictSame(held('imessage'), COLLUDERS.map(() => ({ reason: 'voices', count: 58 })))
  t.strictSame(held('facetime'), [])
})

t.test('an address that is no trusted proxy speaks for itself alone', async t => {
  const alone = await openTestApp(t, { now: START, trustProxy: [] })
  const told = []
  for (let i = 0; i < 10; i++) told.push((await alone.report({ service: 'imessage', verdict: 'down', reporter: `nonce ${i}` }, addressOf(i))).body.disposition)
  t.strictSame(told, [...Array(VOICES_MAX).fill('counted'), ...Array(10 - VOICES_MAX).fill('quarantined')])
})

t.test('the crowd is excluded, and put back under the same id; dismissed, and a fresh one is seen anew', async t => {
  const [before] = await outagesOf('facetime')
  const total = await totalOf('facetime')
  const filter = { service: 'facetime', from: START.toISOString(), to: app.now.toISOString() }
  const preview = await admin('moderation/preview', { action: 'exclude', reason: 'a rehearsal', filter })
  t.match(preview.body, { matched: 40, changed: 40, windows: { before: { down: 40 }, after: { down: 0 } } })
  const action = await admin('moderation/actions', { action: 'exclude', reason: 'a rehearsal', filter, until: preview.body.until })
  t.equal(action.status, 201)
  t.equal(await totalOf('facetime'), 0)
  await app.passMinute()
  const dismissed = (await app.ask(`/v1/outages/${before.id}`)).body
  t.match(dismissed, { state: 'dismissed' })
  t.match(dismissed.timeline.at(-1), { type: 'dismissed', actor: 'moderator' })

  t.equal((await admin(`moderation/actions/${action.body.id}/revert`, { reason: 'it was real' })).status, 200)
  t.equal(await totalOf('facetime'), total)
  await app.passMinute()
  const back = (await outagesOf('facetime'))[0]
  t.strictSame([back.id, back.onset_at, back.detected_at], [before.id, before.onset_at, before.detected_at])
  t.not(back.state, 'dismissed')

  t.equal((await admin(`outages/${before.id}/dismiss`, { reason: 'a rehearsal after all' })).status, 200)
  await app.passMinute()
  t.equal((await outagesOf('facetime'))[0].state, 'dismissed')
  app.now = new Date('2012-11-18T12:20:00Z')
  await app.passMinute()
  for (let minute = 0; minute < MINUTES; minute++) {
    await crowd('facetime', 8)
    await app.passMinute()
  }
  await app.passMinute()
  const [fresh, old] = await outagesOf('facetime')
  t.not(fresh.id, before.id)
  t.match([fresh.state, old.id, old.state], [/suspected|confirmed/, before.id, 'dismissed'])
})
