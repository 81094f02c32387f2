import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { DAY_MS } from '../../src/core/time.ts'
import { addressOf, openTestApp, type TestApp } from '../app.ts'
import { problem } from './contract.ts'

const app = await openTestApp(t, { now: new Date('2012-11-18T18:00:00Z') })
let people = 0
async function fail (app: TestApp, service: string): Promise<void> {
  for (let minute = 0; minute < 10; minute++) {
    await Promise.all(Array.from({ length: 5 }, () => app.report({ service, verdict: 'down' }, addressOf(people++))))
    await app.passMinute()
  }
  await app.passMinute()
}
/** The texts of an element, in their order. */
const all = (xml: string, name: string) => [...xml.matchAll(new RegExp(`<${name}(?: [^>]*)?>([^<]*)</${name}>`, 'g'))].map(([, text]) => text!)
const empty = await app.ask('/feeds/outages.atom')
await app.database.query("update services set name = 'FaceTime & <Friends>' where slug = 'facetime'")
await fail(app, 'imessage')
app.now = new Date(app.now.getTime() + 2 * 60_000)
await fail(app, 'facetime')
// The catalog is read again by its clock; a second app on the same database has read it just now.
const fresh = await openTestApp(t, { now: app.now, database: { connection: app.owner, service: app.connection }, publicUrl: 'https://status.example.org' })

t.test('a feed holds the newest outages, each as an entry that keeps its id', async t => {
  const { status, headers, text } = await fresh.ask('/feeds/outages.atom')
  t.equal(status, 200)
  t.equal(headers['content-type'], 'application/atom+xml; charset=utf-8')
  const { items } = (await fresh.ask('/v1/outages')).body
  const [facetime, imessage] = items
  t.strictSame(all(text, 'id'), ['https://status.example.org/feeds/outages.atom', `urn:uuid:${facetime.id}`, `urn:uuid:${imessage.id}`])
  t.strictSame(all(text, 'title').slice(1), ['People report that FaceTime &amp; &lt;Friends&gt; fails', 'People report that iMessage fails'])
  const timelines = await Promise.all(items.map(async ({ id }: { id: string }) => (await fresh.ask(`/v1/outages/${id}`)).body.timeline))
  const updated = timelines.map(timeline => timeline.at(-1).at)
  t.strictSame(all(text, 'updated'), [updated[0], ...updated])
  t.strictSame(all(text, 'published'), items.map(({ detected_at: at }: { detected_at: string }) => at))
  t.strictSame(all(text, 'content')[1]!.split('\n').length, timelines[1].length)
  t.match(text, `<link rel="alternate" type="application/json" href="https://status.example.org/v1/outages/${imessage.id}"/>`)
  t.match(text, '<link rel="self" type="application/atom+xml" href="https://status.example.org/feeds/outages.atom"/>')
  t.match(text, '<author><name>Groundswell</name></author>')
})

t.test('one service has a feed of its own, and silence is a valid feed too', async t => {
  const { text } = await fresh.ask('/feeds/imessage.atom')
  t.strictSame(all(text, 'title'), ['Outages of iMessage that people report', 'People report that iMessage fails'])
  const silent = await fresh.ask('/feeds/github.atom')
  t.equal(silent.status, 200)
  t.strictSame([all(silent.text, 'title').length, all(silent.text, 'updated')], [1, ['2012-11-18T18:00:00Z']])
  t.strictSame(all(empty.text, 'entry'), [])
  t.match(empty.text, /<id>http:\/\/localhost(:80)?\/feeds\/outages\.atom<\/id>/, 'without PUBLIC_URL as the request names us')
  problem(t, await fresh.ask('/feeds/nope.atom'), 'not-found')
  problem(t, await fresh.ask('/feeds/imessage'), 'not-found')
  problem(t, await fresh.ask('/feeds/imessage.atom', { method: 'POST' }), 'method-not-allowed')
  problem(t, await fresh.ask('/feeds/imessage.atom', { headers: { accept: 'text/html' } }), 'not-acceptable')
  const tag = String((await fresh.ask('/feeds/imessage.atom')).headers['etag'])
  t.equal((await fresh.ask('/feeds/imessage.atom', { headers: { 'if-none-match': tag } })).status, 304)
})

t.test('a page in the form of Statuspage v2 tells what people report', async t => {
  const summary = (await fresh.ask('/statuspage/api/v2/summary.json')).body
  t.strictSame(Object.keys(summary).sort(), ['components', 'incidents', 'page', 'scheduled_maintenances', 'status'])
  t.match(summary.page, { id: 'groundswell', name: 'Groundswell', url: 'https://status.example.org', time_zone: 'Etc/UTC', updated_at: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/ })
  t.match(summary.status, { indicator: 'critical', description: 'Very many people report failures' })
  const listed = (await fresh.ask('/v1/services?limit=200')).body.items
  t.strictSame(summary.components.map(({ id }: { id: string }) => id), listed.map(({ slug }: { slug: string }) => slug))
  const component = (slug: string) => summary.components.find(({ id }: { id: string }) => id === slug)
  t.match(component('imessage'), { name: 'iMessage', status: 'major_outage', description: null, page_id: 'groundswell', group: false, group_id: null, showcase: true, position: Number })
  t.match(component('github'), { status: 'operational', description: 'Too few people report to say whether it works.' })
  const [, imessage] = (await fresh.ask('/v1/outages')).body.items
  const incident = summary.incidents.find(({ id }: { id: string }) => id === imessage.id)
  t.match(incident, {
    name: 'People report that iMessage fails',
    status: 'investigating',
    impact: 'critical',
    monitoring_at: null,
    resolved_at: null,
    page_id: 'groundswell',
    shortlink: `https://status.example.org/v1/outages/${imessage.id}`,
    started_at: new Date(imessage.onset_at).toISOString(),
    created_at: new Date(imessage.detected_at).toISOString()
  })
  const { timeline } = (await fresh.ask(`/v1/outages/${imessage.id}`)).body
  t.strictSame(incident.incident_updates.map(({ id, body }: Record<string, string>) => [id, body]), timeline.map(({ id, text }: Record<string, string>) => [id, text]).reverse(), 'newest first')
  t.match(incident.incident_updates.at(-1), {
    incident_id: imessage.id,
    status: 'investigating',
    affected_components: [{ code: 'imessage', name: 'iMessage', old_status: 'operational', new_status: 'degraded_performance' }],
    deliver_notifications: false,
    custom_tweet: null,
    tweet_id: null
  })

  for (const [name, members] of [['status', 'page status'], ['components', 'components page'], ['incidents', 'incidents page'], ['incidents/unresolved', 'incidents page'], ['scheduled-maintenances', 'page scheduled_maintenances'], ['scheduled-maintenances/upcoming', 'page scheduled_maintenances'], ['scheduled-maintenances/active', 'page scheduled_maintenances']]) {
    const { body } = await fresh.ask(`/statuspage/api/v2/${name}.json`)
    t.equal(Object.keys(body).sort().join(' '), members)
    for (const [member, value] of Object.entries(body)) t.strictSame(value, summary[member], `${name} and the summary agree`)
  }
  const one = (await fresh.ask('/statuspage/imessage/api/v2/summary.json')).body
  t.strictSame(one.components.map(({ id }: { id: string }) => id), ['imessage'])
  t.strictSame(one.incidents.map(({ id }: { id: string }) => id), [imessage.id])
  t.match((await fresh.ask('/statuspage/github/api/v2/summary.json')).body, { incidents: [], status: { indicator: 'none' } })
  problem(t, await fresh.ask('/statuspage/nope/api/v2/summary.json'), 'not-found')
})

t.test('what is over is resolved there, what was dismissed is not shown', async t => {
  const token = await fresh.token(['moderate'])
  const say = async (id: string, word: string) => fresh.ask(`/v1/admin/outages/${id}/${word}`, { method: 'POST', headers: { authorization: `Bearer ${token}` }, payload: { reason: 'a rehearsal' } })
  const [facetime, imessage] = (await fresh.ask('/v1/outages')).body.items
  t.equal((await say(facetime.id, 'dismiss')).status, 200)
  const [updated] = all((await fresh.ask('/feeds/facetime.atom')).text, 'updated')
  t.equal(updated, fresh.now.toISOString().replace('.000Z', 'Z'), 'what is dated by the minutes judged is new to a feed\'s reader all the same')
  t.equal((await say(imessage.id, 'resolve')).status, 200)
  const incidents = (await fresh.ask('/statuspage/api/v2/incidents.json')).body.incidents
  t.match(incidents, [{ id: imessage.id, status: 'resolved', resolved_at: String }])
  t.equal(incidents.length, 1)
  t.strictSame((await fresh.ask('/statuspage/api/v2/incidents/unresolved.json')).body.incidents, [])
  const { text } = await fresh.ask('/feeds/outages.atom')
  t.strictSame(all(text, 'title').slice(1), ['Dismissed: reports that FaceTime &amp; &lt;Friends&gt; fails', 'People no longer report that iMessage fails'], 'who has read an entry is told that it was withdrawn')
})

t.test('a badge says what people say, and when it does not know', async t => {
  const { headers, text } = await fresh.ask('/badges/facetime.svg')
  t.equal(headers['content-type'], 'image/svg+xml; charset=utf-8')
  t.match(text, /^<svg [^>]*aria-label="FaceTime &amp; &lt;Friends&gt;: [a-z ]+">/)
  t.match((await fresh.ask('/badges/github.svg')).text, /GitHub: too few reports to say/)
  const other = await openTestApp(t, { now: new Date('2012-11-18T18:00:00Z') })
  await fail(other, 'imessage')
  // What is held is read again after a second.
  await delay(1_100)
  t.match((await other.ask('/badges/imessage.svg')).text, /iMessage: people report that it fails/)
  other.now = new Date(other.now.getTime() + DAY_MS)
  await delay(1_100)
  t.match((await other.ask('/badges/github.svg')).text, /GitHub: not current/)
  problem(t, await app.ask('/badges/nope.svg'), 'not-found')
})
