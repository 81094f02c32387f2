import t from 'tap'
import { HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { History } from '../../src/http/history.ts'
import { addressOf, openTestApp } from '../app.ts'
import { exactly, members, problem } from './contract.ts'

const NOW = new Date('2012-11-18T12:34:56.789Z')
const app = await openTestApp(t, { now: NOW })
t.beforeEach(() => { app.now = NOW })

const ids = new Map((await app.database.query<{ slug: string, id: number }>('select slug, id from services')).map(({ slug, id }) => [slug, id]))
let outages = 0
/** An outage as the detector would have left it. */
async function leave (service: string, onset: string, more: { resolved?: string, confirmed?: boolean, state?: string, retrospective?: boolean } = {}): Promise<void> {
  const { resolved = null, confirmed = true, state = resolved === null ? 'confirmed' : 'resolved', retrospective = false } = more
  const detected = new Date(Date.parse(onset) + 5 * MINUTE_MS).toISOString()
  await app.database.query(`insert into outages (service_id, id, region, device_class, state, severity, onset_at, onset_from, onset_to, detected_at, confirmed_at, resolved_at,
      dismissed_at, peak_start, peak_down, peak_expected, device_impact, retrospective)
    values ($1, $2, '*', '*', $3, 3, $4, $4, $4, $5, $6, $7, $8, $4, 9, 1, '[]', $9)`,
  [ids.get(service), `0192a1b2-0000-7000-8000-${String(++outages).padStart(12, '0')}`, state, onset, detected, confirmed ? detected : null, resolved, state === 'dismissed' ? detected : null, retrospective])
}
const historyOf = async (service: string, query = '') => {
  const { status, body } = await app.ask(`/v1/services/${service}/history?${query}`)
  if (status !== 200) throw new Error(JSON.stringify(body))
  return body
}

await leave('imessage', '2011-12-31T23:00:00Z', { resolved: '2012-01-01T02:00:00Z', retrospective: true })
await leave('imessage', '2012-03-10T10:00:00Z', { resolved: '2012-03-10T14:00:00Z' })
await leave('imessage', '2012-03-20T14:00:00Z', { resolved: '2012-03-20T16:00:00Z' })
await leave('imessage', '2012-04-01T00:00:00Z', { resolved: '2012-04-01T09:00:00Z', confirmed: false })
await leave('imessage', '2012-05-01T00:00:00Z', { state: 'dismissed' })
await leave('imessage', '2012-11-18T10:34:00Z')

t.test('a history has the members of the contract; only what was confirmed and not dismissed is in it, retrospective ones too', async t => {
  const body = await historyOf('imessage', 'from=2011-11-01T00:00:00Z')
  exactly(t, History, body)
  members(t, body, 'service from to months years mean_between_s mean_recovery_s')
  members(t, body.months[0], 'month outage_count outage_s watched_s')
  members(t, body.years[0], 'year outage_count outage_s watched_s change_s')
  t.match(body, { service: 'imessage', from: '2011-11-01T00:00:00Z', to: '2012-11-18T12:34:00Z' })
  const told = new Map<string, [number, number]>(body.months.map((each: { month: string, outage_count: number, outage_s: number }) => [each.month, [each.outage_count, each.outage_s / 3600]]))
  t.equal(told.size, 13, 'silent months are in it')
  t.strictSame([...told].filter(([, [count, hours]]) => count + hours > 0), [['2011-12', [1, 1]], ['2012-01', [0, 2]], ['2012-03', [2, 6]], ['2012-11', [1, 2]]], 'the open one lasts until now')
  t.match(body.years, [{ year: 2011, outage_count: 1, outage_s: 3600, change_s: null }, { year: 2012, outage_count: 3, outage_s: 10 * 3600, change_s: 9 * 3600 }])
  t.equal(body.mean_recovery_s, 3 * 3600)
  const pauses = [['2012-01-01T02:00:00Z', '2012-03-10T10:00:00Z'], ['2012-03-10T14:00:00Z', '2012-03-20T14:00:00Z'], ['2012-03-20T16:00:00Z', '2012-11-18T10:34:00Z']]
  t.equal(body.mean_between_s, Math.round(pauses.reduce((sum, [end, onset]) => sum + Date.parse(onset!) - Date.parse(end!), 0) / 3000))
})

t.test('what nobody watched is no calm: watched is what was marked since the service is watched, with its imported history', async t => {
  const app = await openTestApp(t, { now: new Date('2012-10-31T23:50:00Z') })
  const read = async (service = 'imessage', query = '') => (await app.ask(`/v1/services/${service}/history?${query}`)).body
  const watchedOf = async (service: string, query: string) => (await read(service, query)).months.map((each: { month: string, watched_s: number }) => [each.month, each.watched_s])
  for (let minute = 0; minute < 20; minute++) await app.passMinute()
  t.strictSame(await watchedOf('imessage', 'from=2012-09-01T00:00:00Z'), [['2012-09', 0], ['2012-10', 600], ['2012-11', 600]])
  t.strictSame((await read()).from, '2012-10-01T00:00:00Z', 'by itself it begins in the first watched month')
  app.now = new Date(app.now.getTime() + HOUR_MS)
  await app.passMinute()
  t.strictSame(await watchedOf('imessage', 'from=2012-11-01T00:00:00Z'), [['2012-11', 660]], 'an hour in which nobody watched is missing')
  const token = await app.token()
  const line = (observedAt: string) => ({ service: 'github', verdict: 'down', reporter: observedAt, observed_at: observedAt })
  const { status } = await app.ask('/v1/reports/batch', {
    method: 'POST', headers: { authorization: `Bearer ${token}` }, payload: [line('2012-10-10T00:00:30Z'), line('2012-10-12T00:00:30Z')]
  })
  t.equal(status, 200)
  t.strictSame(await watchedOf('github', 'from=2012-10-01T00:00:00Z&to=2012-11-01T00:00:00Z'), [['2012-10', 2 * 86_400 + 60 + 600]])
  t.strictSame(await watchedOf('imessage', 'from=2012-10-01T00:00:00Z&to=2012-11-01T00:00:00Z'), [['2012-10', 600]], 'of its own history alone')
  await app.asOwner("update services set live_since = '2012-11-01T00:05:00Z' where slug = 'facetime'")
  t.strictSame(await watchedOf('facetime', 'from=2012-10-01T00:00:00Z'), [['2012-10', 0], ['2012-11', 360]], 'marks of before it was there say nothing of it')
})

t.test('what a month that is over was watched is counted once, and is then still true', async t => {
  const app = await openTestApp(t, { now: new Date('2012-10-31T23:50:00Z') })
  for (let minute = 0; minute < 10; minute++) await app.passMinute()
  await app.asOwner("update services set live_since = '2012-09-01T00:00:00Z'")
  app.now = new Date('2012-11-05T00:00:00Z')
  const read = async (service: string, query = 'from=2012-09-01T00:00:00Z') => (await app.ask(`/v1/services/${service}/history?${query}`)).body.months.map((each: { watched_s: number }) => each.watched_s)
  t.strictSame(await read('imessage'), [0, 600, 60])
  await app.asOwner('delete from watched')
  t.strictSame(await read('github'), [0, 600, 0], 'the months that are over were remembered, for every service')
  t.strictSame(await read('github', 'from=2012-10-02T00:00:00Z'), [0, 0], 'but no part of one')
})

t.test('what cannot be answered is refused, and the parameter named', async t => {
  const ask = (query: string, service = 'imessage') => app.ask(`/v1/services/${service}/history?${query}`)
  for (const [query, pointer] of [
    ['from=2012-11-18T12:00:00Z&to=2012-11-18T12:00:00Z', '/from'], ['from=2012-11-18T12:00:01Z&to=2012-11-18T11:00:00Z', '/from'], ['from=2012-11-18T12:34:10Z', '/from'],
    ['from=2013-01-01T00:00:00Z', '/from'], ['from=2002-11-18T12:33:00Z', '/from'], ['from=yesterday', '/from'], ['to=2012', '/to'], ['from=1969-12-31T00:00:00Z', '/from']
  ]) problem(t, await ask(query!), 'invalid', [pointer!])
  t.match((await ask('from=2013-01-01T00:00:00Z')).body.errors[0].detail, /future/)
  t.equal((await ask('from=2002-11-18T12:34:00Z')).status, 200)
  t.equal((await historyOf('imessage', 'to=9999-12-31T23:59:59Z')).to, '2012-11-18T12:34:00Z')
  for (const query of ['window=1d', 'from=2012-01-01T00:00:00Z&from=2012-01-01T00:00:00Z']) problem(t, await ask(query), 'malformed', [`/${query.split('=')[0]}`])
  problem(t, await ask('', 'nope'), 'not-found')
})

t.test('CSV says what JSON says of the months, and the picture is one', async t => {
  const url = '/v1/services/imessage/history?from=2011-11-01T00:00:00Z'
  const { body: { months }, headers } = await app.ask(url)
  t.match(headers, { 'cache-control': 'public, max-age=2', vary: /accept/i, etag: /"/ })
  const csv = await app.ask(url, { headers: { accept: 'text/csv' } })
  t.match(csv.headers['content-type'], /^text\/csv/)
  t.strictSame(csv.text.trimEnd().split('\r\n'), ['month,outage_count,outage_s,watched_s', ...months.map((each: object) => Object.values(each).join(','))])
  const svg = await app.ask(url, { headers: { accept: 'image/svg+xml' } })
  t.match(svg.headers['content-type'], /^image\/svg\+xml/)
  t.match(svg.text, /^<svg[^>]* xmlns="http:\/\/www\.w3\.org\/2000\/svg".*>iMessage</)
  problem(t, await app.ask(url, { headers: { accept: 'application/x-ndjson' } }), 'not-acceptable')
})

t.test('an outage that people reported live is in the history as soon as it is confirmed', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T18:00:00Z') })
  for (let minute = 0; minute < 20; minute++) {
    await Promise.all(Array.from({ length: 6 }, (_, i) => app.report({ service: 'whatsapp', verdict: 'down' }, addressOf(minute * 6 + i))))
    await app.passMinute()
  }
  await app.passMinute()
  const { body: { items: [outage] } } = await app.ask('/v1/outages')
  t.equal(outage.state, 'confirmed')
  const { body } = await app.ask('/v1/services/whatsapp/history')
  t.match(body.months, [{ month: '2012-11', outage_count: 1, outage_s: (app.now.getTime() - Date.parse(outage.onset_at)) / 1000 }])
})
