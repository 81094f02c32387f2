// Every statement that the service sends in a story with everything in it, held against the shapes that distribute by
// service. What each statement gives is said by the tests of its noun.
import pg from 'pg'
import t from 'tap'
import { DAY_MS, HOUR_MS } from '../../src/core/time.ts'
import { PLACES } from '../../src/db/distribute.ts'
import { insertWords, readKnownWords, readVendorIncidents } from '../../src/db/official.ts'
import { compact } from '../../src/jobs/compact.ts'
import { prune } from '../../src/jobs/prune.ts'
import { addressOf, openTestApp } from '../app.ts'

type Place = keyof typeof PLACES
const PLACE_OF = new Map((Object.keys(PLACES) as Place[]).flatMap(place => PLACES[place].map(table => [table as string, place] as const)))
const sent = new Set<string>()

const query = pg.Client.prototype.query as (...given: any[]) => any
pg.Client.prototype.query = function (this: pg.Client, ...given: any[]) {
  const text: unknown = typeof given[0] === 'string' ? given[0] : given[0]?.text
  if (typeof text === 'string' && this.user === 'groundswell_service') sent.add(text.replace(/\s+/g, ' ').trim())
  return query.apply(this, given)
} as typeof pg.Client.prototype.query

/** The tables that a statement names where a table stands. */
function tablesOf (text: string): string[] {
  return [...text.matchAll(/\b(?:from|join|into|update|using|table) "?(\w+)"?/g)].map(match => match[1]!).filter(name => PLACE_OF.has(name))
}

/** What keeps a statement from being sent whole to one node, or to all. */
function faultsOf (text: string): string[] {
  const tables = tablesOf(text)
  const places = new Set(tables.map(table => PLACE_OF.get(table)!))
  if (!places.has('distributed')) return places.size > 1 ? ['asks what the coordinator has alone together with what every node has'] : []
  const faults: [boolean, string][] = [
    [places.has('local'), 'asks what the coordinator has alone together with what lies elsewhere'],
    [tables.includes('reports') && !/^with r as \(insert into reports|\binterval_at (=|>=|between) /.test(text), 'does not bound interval_at'],
    [/\blateral\b|\bgenerate_series\b/.test(text), 'calls for rows one by one'],
    [/\binsert into\b.*\bunnest\b/.test(text), 'inserts from an array; many values are the form that is split'],
    [/\bfor (no key )?update\b/.test(text) && !/\bservice_id"? = \$/.test(text), 'holds a row without saying whose it is'],
    [/\bslug\b/.test(text), 'looks a slug up; pass the id'],
    [/\b(update \w+ set|delete from)\b/.test(text) && /\binterval '|\bmake_interval\(|\bnow\(\)/.test(text), 'changes by what goes by the session\'s time zone, or by its clock'],
    [/\binterval '\d+ days?'/.test(text), 'counts days of the session\'s time zone'],
    [/\$\d+(::\w+)? is null or /.test(text), 'says by a parameter whether it asks one service or all']
  ]
  return faults.filter(([broken]) => broken).map(([, fault]) => fault)
}

t.test('what does not distribute is told from what does', async t => {
  for (const text of [
    'select 1 from reports where minute > $1', 'select * from outages where id = $1 for update', 'select a from windows, lateral (select 1) x',
    'select 1 from moderated_reports m join moderation_actions a on a.id = m.action_id', 'insert into stale_minutes select $1, unnest($2::timestamptz[])',
    'select 1 from rulings where ($3::integer is null or service_id = $3)', 'select 1 from windows join services s on s.slug = $1',
    'select judged_until from judging where one in (select true from services)', "delete from windows where minute < hour + interval '1 hour'",
    'update outages set confirmed_at = now() where service_id = $1', 'with d as (delete from windows where minute < hour - make_interval(hours => $1) returning 1) select from d',
    "select 1 from windows where minute < $1::timestamptz + interval '1 day'"
  ]) t.equal(faultsOf(text).length, 1, text)
  t.strictSame(faultsOf('select 1 from windows where service_id = $1 and hour >= (select hours_until from compacted)'), [])
})

t.test('every statement of a whole story asks one service, all services, or the coordinator', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T12:00:00Z') })
  const headers = { authorization: `Bearer ${await app.token(['moderate', 'import', 'admin', 'catalog'])}` }
  const get = async (path: string) => {
    const { status, body } = await app.ask(path, { headers })
    t.equal(status, 200, path)
    return body
  }
  const post = async (path: string, payload: object, expected = [200, 201]) => {
    const { status, body, text } = await app.ask(`/v1/admin/${path}`, { method: 'POST', headers, payload })
    t.ok(expected.includes(status), `${path} ${text}`)
    return body
  }
  const history = Array.from({ length: 200 }, (_, i) => JSON.stringify({
    service: 'imessage', verdict: i % 3 === 0 ? 'down' : 'working', device_class: 'mac', reporter: `p${i}`, observed_at: new Date(app.now.getTime() - (i + 1) * HOUR_MS).toISOString()
  })).join('\n')
  t.equal((await app.ask('/v1/reports/batch', { method: 'POST', headers: { ...headers, 'content-type': 'application/x-ndjson' }, payload: history })).status, 200)
  app.now = new Date(app.now.getTime() + 30_000)
  for (let i = 0; i < 20; i++) await app.jobs.tick()

  let person = 0
  const crowd = async (minutes: number) => {
    for (let minute = 0; minute < minutes; minute++) {
      await Promise.all(Array.from({ length: 12 }, (_, i) => app.report({ service: 'imessage', verdict: 'down', region: 'CA-ON', device_class: 'mac', symptom: 'sending', comment: `Number ${i}` }, addressOf(person++))))
      for (let i = 0; i < 6; i++) await app.report({ service: 'github', verdict: 'down', reporter: `r${i}` }, '198.51.100.7')
      await app.passMinute()
    }
  }
  // Fewer networks than an alarm needs, then as many.
  for (let i = 0; i < 6; i++) await app.report({ service: 'facetime', verdict: 'down' }, addressOf(30_000 + i))
  for (let i = 0; i < 15; i++) await app.report({ service: 'facetime', verdict: 'down', reporter: `r${i}`, observed_at: app.now.toISOString() }, addressOf(30_000 + i % 6))
  await crowd(8)

  const service = '/v1/services/imessage'
  const range = 'from=2012-11-10T00:00:00Z&to=2012-11-18T13:00:00Z'
  for (const path of [
    '/v1/services', service, `${service}/curve`, `${service}/curve?window=1h&${range}`, `${service}/curve?window=1d&${range}`, `${service}/breakdown?by=symptom`,
    `${service}/breakdown?by=region&${range}`, `${service}/history`, '/v1/outages', '/v1/outages?service=imessage', '/v1/lead-times', '/v1/lead-times?service=imessage',
    '/v1/admin/reports', '/v1/admin/reports?service=imessage&limit=2', '/v1/admin/quarantine', '/v1/admin/comments', '/v1/admin/comments?service=imessage', '/v1/admin/acknowledgements', '/metrics'
  ]) await get(path)
  const [outage] = (await get('/v1/outages')).items
  await get(`/v1/outages/${outage.id}`)
  const paged = await get('/v1/admin/reports?limit=3')
  await get(`/v1/admin/reports?limit=3&cursor=${paged.next_cursor}`)

  const [comment] = (await get('/v1/admin/comments')).items
  await post(`comments/${comment.id}/approve`, {})
  await post('acknowledgements', { service: 'imessage', source: 'x', published_at: app.now.toISOString(), outage: outage.id, text: 'Some users' })
  await post(`outages/${outage.id}/annotate`, { reason: 'seen' })
  const { until } = await post('moderation/preview', { action: 'exclude', filter: { service: 'imessage' } })
  const { id } = await post('moderation/actions', { action: 'exclude', filter: { service: 'imessage' }, until, reason: 'a test' })
  await app.passMinute()
  await post('moderation/preview', { action: 'restore', reports: (await get('/v1/admin/reports?disposition=excluded&limit=5')).items.map((row: any) => ({ service: row.service, interval_at: row.interval_at, id: row.id })) })
  await post(`moderation/actions/${id}/revert`, {})
  await app.passMinute()
  await post('outages', { service: 'facetime', onset_at: app.now.toISOString(), reason: 'a test' })
  const [held] = (await get('/v1/outages?service=imessage')).items
  await post(`outages/${held.id}/dismiss`, { reason: 'a test' }, [200, 409])

  const word = { incident: '1', status: 'down' as const, components: [], title: 'It is', text: 'slow', url: null, digest: 'x', publishedAt: app.now.getTime(), seenAt: app.now.getTime() }
  await insertWords(app.database, 1, id, [word])
  t.equal((await readKnownWords(app.database, 1, id, new Date(0))).length, 1)
  t.equal((await readVendorIncidents(app.database, new Date(0))).length, 1)

  for (const days of [1, 40, 800]) {
    const now = new Date(app.now.getTime() + days * DAY_MS)
    if (days > 30) await app.asOwner("delete from reports where interval_at < 'infinity'")
    while (await compact(app.database, now.getTime()));
    await prune(app.database, 30, now).catch((error: Error) => t.match(error.message, /are kept/))
  }

  const broken = [...sent].flatMap(text => faultsOf(text).map(fault => `${fault}: ${text.slice(0, 300)}`))
  t.strictSame(broken, [])
  const named = new Set([...sent].flatMap(tablesOf))
  t.strictSame([...PLACES.reference, ...PLACES.distributed].filter(table => !named.has(table)), [], 'the story names every table that does not lie on the coordinator alone')
})
