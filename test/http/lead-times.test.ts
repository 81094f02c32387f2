import t from 'tap'
import { MINUTE_MS } from '../../src/core/time.ts'
import { LeadTimes } from '../../src/http/lead-times.ts'
import { openTestApp } from '../app.ts'
import { exactly, members, problem } from './contract.ts'

const app = await openTestApp(t, { now: new Date('2012-11-18T12:00:00Z') })
await app.asOwner("update services set live_since = '2011-06-01T00:00:00Z'")
const ids = new Map((await app.database.query<{ slug: string, id: number }>('select slug, id from services')).map(({ slug, id }) => [slug, id]))
const uuid = (n: number) => `0192a1b2-0000-7000-8000-${String(n).padStart(12, '0')}`
let made = 0

/** An outage as the detector would have left it; its id. */
async function leave (detected: string, more: { service?: string, state?: string, confirmed?: boolean, retrospective?: boolean, mergedInto?: string, withdrawn?: boolean } = {}): Promise<string> {
  const { service = 'imessage', state = 'resolved', confirmed = true, retrospective = false, mergedInto = null, withdrawn = false } = more
  const at = new Date(detected)
  const later = new Date(at.getTime() + 60 * MINUTE_MS).toISOString()
  const id = uuid(++made)
  await app.database.query(`insert into outages (service_id, id, region, device_class, state, severity, onset_at, onset_from, onset_to, detected_at, confirmed_at, resolved_at,
      dismissed_at, peak_start, peak_down, peak_expected, device_impact, retrospective, merged_into, withdrawn)
    values ($1, $2, '*', '*', $3, 3, $4, $4, $4, $4, $5, $6, $7, $4, 9, 1, '[]', $8, $9, $10)`,
  [ids.get(service), id, state, at.toISOString(), confirmed ? at.toISOString() : null, state === 'resolved' ? later : null, state === 'dismissed' ? later : null, retrospective, mergedInto, withdrawn])
  return id
}
/** A vendor's word; its id. */
async function say (published: string, outage: string | null, more: { service?: string, source?: string, url?: string } = {}): Promise<string> {
  const { service = 'imessage', source = 'Apple', url = null } = more
  const id = uuid(++made)
  await app.database.query('insert into acknowledgements (service_id, id, outage_id, source, published_at, url, created_at) values ($1, $2, $3, $4, $5, $6, $5)',
    [ids.get(service), id, outage, source, published, url])
  return id
}
const record = async (query = '') => {
  const { status, body } = await app.ask(`/v1/lead-times${query}`)
  if (status !== 200) throw new Error(JSON.stringify(body))
  return body
}

const first = await leave('2012-03-01T10:00:00Z')
await say('2012-03-01T12:00:00Z', first)
await say('2012-03-01T11:00:00Z', first, { source: 'Apple, "System Status"', url: 'https://example.org/1' })
const late = await leave('2012-05-01T10:00:00Z', { service: 'github' })
await say('2012-05-01T09:50:00Z', late, { service: 'github', source: 'GitHub' })
const quiet = await leave('2012-06-01T10:00:00Z')
const alarm = await leave('2012-07-01T10:00:00Z', { state: 'dismissed', confirmed: false })
const gone = await leave('2012-08-01T10:00:00Z', { state: 'dismissed', withdrawn: true })
await say('2012-08-01T11:00:00Z', gone, { source: 'Apple, of what we had dismissed' })
await say('2012-09-01T10:00:00Z', null, { service: 'slack', source: 'Slack' })
const whole = await leave('2012-10-01T10:00:00Z')
const part = await leave('2012-10-01T10:30:00Z', { state: 'dismissed', mergedInto: whole })
await say('2012-10-01T10:20:00Z', part)
const old = await leave('2011-12-31T23:59:00Z')
await say('2012-01-01T00:29:00Z', old)
// What is not told: history, what is only suspected, and what vendors said before we watched.
const history = await leave('2011-05-01T10:00:00Z', { retrospective: true })
await say('2011-05-01T12:00:00Z', history)
await leave('2012-11-18T11:59:00Z', { state: 'suspected', confirmed: false })
await say('2011-05-31T23:59:00Z', null)

t.test('the record has the members of the contract, newest first, each line of its kind', async t => {
  const body = await record()
  exactly(t, LeadTimes, body)
  members(t, body, 'items next_cursor summary')
  members(t, body.items[0], 'kind service outage detected_at acknowledged_at lead_time_s source url')
  members(t, body.summary, 'acknowledged unacknowledged missed false_alarms median_lead_time_s')
  t.strictSame(body.items.map(({ kind, service, outage, detected_at: detected, acknowledged_at: acknowledged, lead_time_s: lead, source }: Record<string, unknown>) =>
    [kind, service, outage, detected, acknowledged, lead, source]), [
    ['acknowledged', 'imessage', whole, '2012-10-01T10:00:00Z', '2012-10-01T10:20:00Z', 1200, 'Apple'],
    ['missed', 'slack', null, null, '2012-09-01T10:00:00Z', null, 'Slack'],
    ['missed', 'imessage', null, null, '2012-08-01T11:00:00Z', null, 'Apple, of what we had dismissed'],
    ['false_alarm', 'imessage', gone, '2012-08-01T10:00:00Z', null, null, null],
    ['false_alarm', 'imessage', alarm, '2012-07-01T10:00:00Z', null, null, null],
    ['unacknowledged', 'imessage', quiet, '2012-06-01T10:00:00Z', null, null, null],
    ['acknowledged', 'github', late, '2012-05-01T10:00:00Z', '2012-05-01T09:50:00Z', -600, 'GitHub'],
    ['acknowledged', 'imessage', first, '2012-03-01T10:00:00Z', '2012-03-01T11:00:00Z', 3600, 'Apple, "System Status"'],
    ['acknowledged', 'imessage', old, '2011-12-31T23:59:00Z', '2012-01-01T00:29:00Z', 1800, 'Apple']
  ], 'the first word counts, also one on an outage that was merged into it')
  t.strictSame(body.summary, { acknowledged: 4, unacknowledged: 1, missed: 2, false_alarms: 2, median_lead_time_s: 1500 })
  t.equal(body.items[7].url, 'https://example.org/1')
})

t.test('the outage itself tells the same lead time', async t => {
  for (const { kind, outage, lead_time_s: lead } of (await record()).items) {
    // What was merged keeps its word; the record gives it to the whole.
    if (kind !== 'acknowledged' || outage === whole) continue
    t.equal((await app.ask(`/v1/outages/${outage}`)).body.lead_time_s, lead)
  }
})

t.test('pages hold still and lose nothing, and the summary is of the whole selection on each', async t => {
  const all = await record()
  for (const limit of [1, 2, 4]) {
    const items: unknown[] = []
    let cursor = ''
    for (let page = 0; page < 20; page++) {
      const body = await record(`?limit=${limit}${cursor}`)
      t.ok(body.items.length <= limit)
      t.strictSame(body.summary, all.summary)
      items.push(...body.items)
      if (body.next_cursor === null) break
      cursor = `&cursor=${body.next_cursor}`
    }
    t.strictSame(items, all.items, `by ${limit}`)
  }
})

t.test('a service and a year select: by detection, and what was missed by publication', async t => {
  t.strictSame((await record('?service=slack')).items.map(({ kind }: { kind: string }) => kind), ['missed'])
  t.match((await record('?service=github')).summary, { acknowledged: 1, unacknowledged: 0, missed: 0, false_alarms: 0, median_lead_time_s: -600 })
  const old = await record('?year=2011')
  t.match(old, { items: [{ kind: 'acknowledged', detected_at: '2011-12-31T23:59:00Z' }], summary: { acknowledged: 1, missed: 0, median_lead_time_s: 1800 } })
  t.equal(old.items.length, 1)
  t.equal((await record('?year=2012')).items.length, 8)
  t.strictSame(await record('?year=2013'), { items: [], next_cursor: null, summary: { acknowledged: 0, unacknowledged: 0, missed: 0, false_alarms: 0, median_lead_time_s: null } })
})

t.test('CSV says what JSON says, quotes what must be quoted, and links to its next page', async t => {
  const { items } = await record()
  const read = (url: string) => app.ask(url, { headers: { accept: 'text/csv' } })
  const csv = await read('/v1/lead-times')
  t.match(csv.headers, { 'content-type': /^text\/csv/, vary: /accept/i })
  t.equal(csv.headers['link'], undefined)
  const rows = csv.text.trimEnd().split('\r\n')
  t.equal(rows[0], Object.keys(items[0]).join(','))
  t.equal(rows[8], `acknowledged,imessage,${first},2012-03-01T10:00:00Z,2012-03-01T11:00:00Z,3600,"Apple, ""System Status""",https://example.org/1`)
  t.equal(rows[2], 'missed,slack,,,2012-09-01T10:00:00Z,,Slack,')
  const found: string[] = []
  let url = '/v1/lead-times?limit=4&service=imessage'
  for (let page = 0; page < 9; page++) {
    const { text, headers } = await read(url)
    found.push(...text.trimEnd().split('\r\n').slice(1))
    const [, next] = /^<([^>]+)>; rel="next"$/.exec(String(headers['link'])) ?? []
    if (next === undefined) break
    url = next
  }
  t.strictSame(found, rows.slice(1).filter(row => row.includes(',imessage,')))
})

t.test('the picture is of the whole selection', async t => {
  const draw = async (query = '') => app.ask(`/v1/lead-times${query}`, { headers: { accept: 'image/svg+xml' } })
  const { headers, text } = await draw('?limit=1')
  t.match(headers['content-type'], /^image\/svg\+xml/)
  t.match(text, /^<svg.*>Groundswell and the vendors: lead times<.*4 acknowledged\. 1 never acknowledged\. 2 missed by us\. 2 false alarms\./)
  t.match((await draw('?service=imessage&year=2012')).text, />iMessage: lead times<.*Lead times of 2012/)
})

t.test('what cannot be answered is refused, and the parameter named', async t => {
  for (const [query, pointer] of [['service=nope', '/service'], ['year=1969', '/year'], ['year=12.5', '/year'], ['year=10000', '/year'], ['year=x', '/year'], ['limit=0', '/limit'], ['limit=201', '/limit'], ['cursor=x', '/cursor']]) {
    problem(t, await app.ask(`/v1/lead-times?${query}`), 'invalid', [pointer!])
  }
  problem(t, await app.ask('/v1/lead-times?service=nope&year=1'), 'invalid', ['/service', '/year'])
  problem(t, await app.ask('/v1/lead-times?from=2012-01-01T00:00:00Z'), 'malformed', ['/from'])
})
