import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { FAULT_CODES } from '../../src/core/faults.ts'
import { MINUTE_MS } from '../../src/core/time.ts'
import { SOURCE_FORMATS } from '../../src/core/vocabulary.ts'
import { addressOf, openTestApp, type TestApp } from '../app.ts'
import { createDatabase } from '../database.ts'
import { readExposition, type Exposition } from '../exposition.ts'
import { openReceiver } from '../receiver.ts'
import { cutOff } from './contract.ts'
import { listen } from './events.ts'

const REPORT = { service: 'imessage', verdict: 'down' }

async function scrape (app: TestApp): Promise<Exposition> {
  const { status, text } = await app.ask('/metrics')
  if (status !== 200) throw new Error(`/metrics answered ${status}`)
  return readExposition(text)
}

/** What is told as soon as it is as it should be: figures of the tables are held for a second. */
async function scrapeAfresh (app: TestApp, done: (told: Exposition) => boolean): Promise<Exposition> {
  for (let tries = 0; ; tries++) {
    const told = await scrape(app)
    if (done(told) || tries > 300) return told
    await delay(10)
  }
}

t.test('every report is counted once, by what became of it', async t => {
  const app = await openTestApp(t)
  const before = await scrape(app)
  for (const disposition of ['counted', 'duplicate', 'quarantined']) t.equal(before.value('groundswell_reports_total', { disposition }), 0, 'a series is there before its first event')
  // Of one network three are counted.
  for (let i = 1; i <= 5; i++) await app.report(REPORT, `192.0.2.${i}`)
  await app.report(REPORT, '192.0.2.1')
  await app.report({ ...REPORT, verdict: 'broken' })
  await app.report({ ...REPORT, service: 'no-such-service' })
  await app.report({ ...REPORT, colour: 'red' })
  const token = await app.token()
  const items = [{ ...REPORT, reporter: 'a' }, { ...REPORT, reporter: 'a' }, { ...REPORT, reporter: '' }, { ...REPORT, service: 'nothing', reporter: 'b' }]
  const batch = await app.ask('/v1/reports/batch', { method: 'POST', payload: items, headers: { authorization: `Bearer ${token}` } })
  t.match(batch.body, { received: 4, counted: 1, duplicate: 1, refused: 2 })
  const told = await scrape(app)
  const of = (disposition: string) => told.value('groundswell_reports_total', { disposition })
  t.strictSame([of('counted'), of('duplicate'), of('quarantined')], [3 + 1, 1 + 1, 2])
  const refused = Object.fromEntries(told.samples.filter(({ name, value }) => name === 'groundswell_reports_refused_total' && value > 0).map(({ labels, value }) => [labels['problem'], value]))
  t.strictSame(refused, { invalid: 2 + 2, malformed: 1 })
  t.equal(told.value('groundswell_problems_total', { problem: 'invalid' }), 2, 'a batch with bad items is no refused call')
  t.equal(told.value('groundswell_flush_reports_count'), 6)
  t.equal(told.value('groundswell_flush_reports_sum'), 6)
  t.equal(told.value('groundswell_flush_duration_seconds_bucket', { le: '+Inf' }), 6)
  t.ok(told.value('groundswell_flush_duration_seconds_sum')! > 0)
  t.equal(told.value('groundswell_queue_depth'), 0)
})

t.test('a limit that is exceeded is counted, and metrics have none', async t => {
  const few = { max: 2, windowS: 60 }
  const app = await openTestApp(t, { limits: { reports: few, reads: few, admin: few } })
  for (let i = 0; i < 4; i++) await app.report(REPORT)
  for (let i = 0; i < 5; i++) await app.ask('/v1/regions')
  for (let i = 0; i < 5; i++) t.equal((await app.ask('/metrics')).status, 200)
  const told = await scrape(app)
  t.equal(told.value('groundswell_reports_refused_total', { problem: 'rate-limited' }), 2)
  t.equal(told.value('groundswell_problems_total', { problem: 'rate-limited' }), 2 + 3)
})

t.test('requests are told by the pattern of their route, method and class of status', async t => {
  const app = await openTestApp(t)
  await app.report(REPORT)
  for (const slug of ['imessage', 'facetime', 'no-such-service']) await app.ask(`/v1/services/${slug}/curve`)
  await app.ask('/nowhere/at/all')
  await app.ask('/v1/services/x', { method: 'PUT' as 'GET' })
  const told = await scrape(app)
  const count = (route: string, method: string, status: string) => told.value('groundswell_http_request_duration_seconds_count', { route, method, status })
  t.equal(count('/v1/reports', 'POST', '2xx'), 1)
  t.equal(count('/v1/services/:service/curve', 'GET', '2xx'), 2)
  t.equal(count('/v1/services/:service/curve', 'GET', '4xx'), 1)
  t.equal(count('none', 'GET', '4xx'), 1)
  t.equal(count('none', 'other', '4xx'), 1)
  const labels = { route: '/v1/services/:service/curve', method: 'GET', status: '2xx' }
  const buckets = told.samples.filter(({ name, labels: { route, status } }) => name === 'groundswell_http_request_duration_seconds_bucket' && route === labels.route && status === '2xx')
  t.equal(buckets.at(-1)!.labels['le'], '+Inf')
  t.equal(buckets.at(-1)!.value, 2)
  t.strictSame(buckets.map(({ value }) => value), buckets.map(({ value }) => value).sort((a, b) => a - b), 'buckets add up')
  const sum = told.value('groundswell_http_request_duration_seconds_sum', labels)!
  t.ok(sum > 0 && sum < 30, 'in seconds')
})

t.test('what somebody sends is never a label', async t => {
  const app = await openTestApp(t)
  const marks = ['zz-invented-slug', '203.0.113.77', 'MarkedAgent', 'marked-reporter', 'marked-words', 'marked-symptom', 'marked-token']
  const headers = { 'user-agent': 'MarkedAgent/1.0', authorization: 'Bearer gsw_marked-token_x', 'x-request-id': 'marked-words' }
  for (const service of ['imessage', 'zz-invented-slug']) {
    await app.report({ service, verdict: 'down', reporter: 'marked-reporter', comment: 'marked-words' }, '203.0.113.77', headers)
    await app.report({ service, verdict: 'down', symptom: 'marked-symptom' }, '203.0.113.77', headers)
    for (const url of [`/v1/services/${service}`, `/v1/services/${service}/curve?region=${service}`, `/${service}`, `/badges/${service}.svg`, `/problems/${service}`, `/v1/outages?service=${service}`, `/metrics?${service}=1`]) {
      await app.ask(url, { headers })
    }
  }
  await app.ask('/v1/admin/tokens/zz-invented-slug', { headers })
  const { text } = await app.ask('/metrics', { headers })
  for (const mark of [...marks, 'imessage']) t.notOk(text.includes(mark), `says nothing of ${mark}`)

  const told = readExposition(text)
  const routes = new Set(Object.keys((await app.ask('/openapi.json')).body.paths).map(path => path.replace(/\{(\w+)\}/g, ':$1')))
  const allowed: Record<string, (value: string, name: string) => boolean> = {
    disposition: value => ['counted', 'duplicate', 'quarantined'].includes(value),
    problem: value => (FAULT_CODES as readonly string[]).includes(value),
    result: value => ['delivered', 'failed', 'retried'].includes(value),
    format: value => (SOURCE_FORMATS as readonly string[]).includes(value),
    pool: value => /^[a-z]+$/.test(value),
    state: value => ['total', 'idle', 'waiting'].includes(value),
    route: value => value === 'none' || routes.has(value),
    method: value => ['GET', 'HEAD', 'POST', 'PATCH', 'DELETE', 'OPTIONS', 'other'].includes(value),
    status: value => /^[2-5]xx$/.test(value),
    le: value => value === '+Inf' || Number(value) > 0
  }
  const strange = told.samples.filter(({ name }) => name.startsWith('groundswell_'))
    .flatMap(({ name, labels }) => Object.entries(labels).filter(([label, value]) => allowed[label]?.(value, name) !== true).map(([label, value]) => `${name} ${label}=${value}`))
  t.strictSame(strange, [], 'every label has a value of a fixed set')
  t.ok(told.samples.length < 1_000, 'and there are few')
})

t.test('the way through shows how far behind it is, by the clock of the domain', async t => {
  const start = new Date('2012-11-18T12:00:00Z')
  const app = await openTestApp(t, { now: start })
  for (let i = 0; i < 3; i++) await app.report(REPORT, addressOf(i))
  app.now = new Date(start.getTime() + 90_000)
  const behind = await scrapeAfresh(app, told => told.value('groundswell_rollup_lag_seconds') === 90)
  t.equal(behind.value('groundswell_rollup_lag_seconds'), 90)
  t.equal(behind.value('groundswell_judging_lag_seconds'), 90)
  t.equal(behind.value('groundswell_judging_duration_seconds_count'), 0)
  const rollups = behind.value('groundswell_rollup_duration_seconds_count')!
  app.now = new Date(start.getTime() + 4 * MINUTE_MS + 30_000)
  await app.jobs.tick()
  const after = await scrapeAfresh(app, told => told.value('groundswell_rollup_lag_seconds') === 0)
  t.equal(after.value('groundswell_rollup_lag_seconds'), 0)
  t.equal(after.value('groundswell_judging_lag_seconds'), 30)
  t.equal(after.value('groundswell_judging_duration_seconds_count'), 4, 'once for each minute')
  t.ok(after.value('groundswell_judging_duration_seconds_sum')! > 0)
  t.equal(after.value('groundswell_rollup_duration_seconds_count'), rollups + 1)
})

t.test('news that a webhook waits for are told with their age, and so are sources that cannot be read', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T12:00:00Z') })
  const quiet = await scrape(app)
  t.equal(quiet.value('groundswell_outbox_depth'), 0)
  t.equal(quiet.value('groundswell_undelivered_age_seconds'), 0)
  t.equal(quiet.value('groundswell_sources_enabled', { format: 'slack' }), 0)
  const [webhook, retired] = ['018f0000-0000-7000-8000-000000000001', '018f0000-0000-7000-8000-000000000002']
  await app.asOwner('update outbox_head set number = 7')
  await app.asOwner(`insert into webhooks (id, url, events, secret, enabled, created_at, retired_at, outbox_number) values
    ('${webhook}', 'https://example.org', '{}', 's', true, now(), null, 4), ('${retired}', 'https://example.org', '{}', 's', true, now(), now(), 0)`)
  await app.asOwner(`insert into outbox (number, id, at, written_at, type, service_id, outage_id, data)
    select n, gen_random_uuid(), now(), now() - make_interval(secs => 1000 - 100 * n), 'outage.updated', 1, gen_random_uuid(), '{}' from generate_series(1, 7) n`)
  const waiting = await scrapeAfresh(app, told => told.value('groundswell_outbox_depth') === 3)
  t.equal(waiting.value('groundswell_outbox_depth'), 3)
  const age = waiting.value('groundswell_undelivered_age_seconds')!
  t.ok(age >= 500 && age < 560, `news 5 waits, since ${age} s`)
  await app.asOwner(`insert into deliveries (webhook_id, number, service_id, outage_id, type, message_id, body, state, created_at)
    select '${webhook}', n, 1, gen_random_uuid(), 'outage.updated', gen_random_uuid(), '', case n when 1 then 'delivered' else 'pending' end, now() - interval '2 hours' from generate_series(1, 3) n`)
  await app.asOwner('update sources set enabled = true where id in (select id from sources where format = \'slack\' order by id limit 1) or id in (select id from sources where format = \'apple\' order by id limit 2)')
  await app.asOwner('insert into source_pages (url, format, read_at, failures) select distinct on (url) url, format, \'2012-11-18T11:50:00Z\'::timestamptz, case format when \'slack\' then 3 else 0 end from sources where enabled order by url')
  const told = await scrapeAfresh(app, told => told.value('groundswell_deliveries_pending') === 2)
  t.equal(told.value('groundswell_deliveries_pending'), 2)
  t.ok(told.value('groundswell_undelivered_age_seconds')! >= 7_200)
  t.equal(told.value('groundswell_sources_enabled', { format: 'slack' }), 1)
  t.equal(told.value('groundswell_sources_stale', { format: 'slack' }), 1)
  t.equal(told.value('groundswell_sources_enabled', { format: 'apple' }), 2)
  t.equal(told.value('groundswell_sources_stale', { format: 'apple' }), 0)
  t.equal(told.value('groundswell_sources_oldest_reading_age_seconds', { format: 'slack' }), 600)
  t.equal(told.value('groundswell_sources_oldest_reading_age_seconds', { format: 'feed' }), undefined, 'never read: no age')
})

t.test('every attempt to tell a webhook is counted by what came of it', async t => {
  const app = await openTestApp(t, { allowPrivateTargets: true })
  const answers: Record<string, number> = { '/hook/takes': 204, '/hook/gone': 410, '/hook/busy': 500 }
  const receiver = await openReceiver(t, (response, { path }) => response.writeHead(answers[path]!).end())
  const authorization = `Bearer ${await app.token(['webhooks'])}`
  for (const path of ['takes', 'gone', 'busy']) {
    t.equal((await app.ask('/v1/admin/webhooks', { method: 'POST', headers: { authorization }, payload: { url: `${receiver.url}/${path}` } })).status, 201)
  }
  await app.asOwner('update outbox_head set number = number + 1')
  await app.asOwner('insert into outbox (number, id, at, type, service_id, outage_id, data) select number, gen_random_uuid(), now(), \'outage.updated\', 1, gen_random_uuid(), \'{}\' from outbox_head')
  await app.jobs.tick()
  const told = await scrape(app)
  for (const result of ['delivered', 'failed', 'retried']) t.equal(told.value('groundswell_delivery_attempts_total', { result }), 1, result)
})

t.test('event streams are counted while they are open', async t => {
  const app = await openTestApp(t)
  await app.http.listen({ port: 0, host: '127.0.0.1' })
  const url = `http://127.0.0.1:${(app.http.server.address() as AddressInfo).port}/v1/events`
  const open = async () => (await scrape(app)).value('groundswell_event_streams')
  t.equal(await open(), 0)
  const [one, other] = [await listen(url), await listen(url)]
  t.equal(await open(), 2)
  one.cut()
  t.equal((await scrapeAfresh(app, told => told.value('groundswell_event_streams') === 1)).value('groundswell_event_streams'), 1)
  other.cut()
})

t.test('without its database the metrics are there, without what is read from it, and come back with it', async t => {
  const database = await createDatabase(t)
  const app = await openTestApp(t, { database })
  await app.report(REPORT)
  const before = await scrape(app)
  t.equal(before.value('groundswell_database_up'), 1)
  t.ok(before.value('groundswell_database_connections', { pool: 'ingest', state: 'total' })! >= 1)
  const absence = cutOff(database)
  await absence.begin()
  await app.report({ ...REPORT, verdict: 'working' })
  const since = performance.now()
  const without = await scrapeAfresh(app, told => told.value('groundswell_database_up') === 0)
  t.equal(without.value('groundswell_database_up'), 0)
  t.ok(performance.now() - since < 5_000)
  for (const name of ['groundswell_rollup_lag_seconds', 'groundswell_judging_lag_seconds', 'groundswell_outbox_depth', 'groundswell_deliveries_pending', 'groundswell_undelivered_age_seconds']) {
    t.equal(without.value(name), undefined, `${name} is absent`)
  }
  t.notOk(without.samples.some(({ name }) => name.startsWith('groundswell_sources_')))
  t.equal(without.value('groundswell_reports_total', { disposition: 'counted' }), 1, 'what was counted here is told')
  t.equal(without.value('groundswell_reports_refused_total', { problem: 'unavailable' }), 1)
  t.equal(without.value('groundswell_flush_duration_seconds_count'), 2, 'a commit that failed took its time as well')
  await absence.end()
  const again = await scrapeAfresh(app, told => told.value('groundswell_database_up') === 1)
  t.equal(again.value('groundswell_judging_lag_seconds'), 0)
})

t.test('whoever reads them gets the text format, whatever version of it they name', async t => {
  const app = await openTestApp(t)
  const prometheus = 'application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1'
  for (const accept of ['text/plain', 'text/plain;version=0.0.4', '*/*', prometheus]) {
    const answer = await app.ask('/metrics', { headers: { accept } })
    t.equal(answer.status, 200, accept)
    t.match(answer.headers, { 'content-type': /^text\/plain; ?version=0\.0\.4; charset=utf-8$/, 'cache-control': 'no-store' })
  }
  t.equal((await app.ask('/metrics', { headers: { accept: 'application/json' } })).status, 406)
  const told = await scrape(app)
  for (const name of ['nodejs_eventloop_lag_p99_seconds', 'nodejs_heap_size_used_bytes', 'process_cpu_seconds_total', 'process_resident_memory_bytes']) {
    t.ok(told.value(name)! >= 0, name)
  }
  t.equal(told.types.get('nodejs_gc_duration_seconds'), 'histogram')
})

t.test('two apps of one process count each for itself', async t => {
  const [one, other] = [await openTestApp(t), await openTestApp(t)]
  await one.report(REPORT)
  t.equal((await scrape(one)).value('groundswell_reports_total', { disposition: 'counted' }), 1)
  t.equal((await scrape(other)).value('groundswell_reports_total', { disposition: 'counted' }), 0)
})
