import t from 'tap'
import { MINUTE_MS } from '../../src/core/time.ts'
import { Outage, OutageItem } from '../../src/http/outages.ts'
import { addressOf, openTestApp } from '../app.ts'
import { exactly, members, problem } from './contract.ts'

const REF = 'id service state scope onset_at detected_at severity'
const ITEM = `${REF} onset_interval confirmed_at recovering_at resolved_at dismissed_at peak affected_share device_impact acknowledgement lead_time_s disputed retrospective cause related workarounds`

const app = await openTestApp(t, { now: new Date('2012-11-18T18:00:00Z') })
let people = 0

/** Ten minutes in which four people a minute say that a service fails, each on a network of their own. */
async function fail (service: string, classes: (string | undefined)[]): Promise<void> {
  for (let minute = 0; minute < 10; minute++) {
    await Promise.all(Array.from({ length: 4 }, (_, i) => app.report({ service, verdict: 'down', device_class: classes[i % classes.length] }, addressOf(people++))))
    await app.passMinute()
  }
  await app.passMinute()
}
const list = async (query = '') => (await app.ask(`/v1/outages${query}`)).body

await fail('imessage', ['iphone', 'ipad-wifi', 'mac', undefined])
const { items: [first] } = await list()
await app.passQuietly(240)
await fail('github', [undefined])
await fail('imessage', ['mac'])

t.test('an outage has the members of the contract, and in a list no timeline', async t => {
  const { items, next_cursor: next } = await list()
  t.equal(next, null)
  t.strictSame(items.map(({ service, state }: Record<string, string>) => `${service} ${/resolved|dismissed/.test(state!) ? 'closed' : 'open'}`), ['imessage open', 'github open', 'imessage closed'], 'newest first')
  for (const item of items) {
    exactly(t, OutageItem, item)
    members(t, item, ITEM)
    members(t, item.scope, 'region device_class')
    members(t, item.onset_interval, 'from to')
    members(t, item.peak, 'start down expected_down')
    t.ok(item.onset_interval.from <= item.onset_at && item.onset_at <= item.onset_interval.to && item.onset_at < item.detected_at)
    t.ok(item.severity >= 1)
    t.match(item, { disputed: false, retrospective: false, cause: null, related: [], workarounds: [], acknowledgement: null, lead_time_s: null })
    const { body } = await app.ask(`/v1/outages/${item.id}`)
    exactly(t, Outage, body)
    members(t, body, `${ITEM} timeline`)
    const { timeline, ...rest } = body
    t.strictSame(rest, item, 'the list says the same')
  }
})

t.test('the timeline is ordered and says who said what, and from what reading', async t => {
  for (const { id, detected_at: detectedAt, state, confirmed_at: confirmedAt } of (await list()).items) {
    const { timeline } = (await app.ask(`/v1/outages/${id}`)).body
    t.match(timeline[0], { type: 'suspected', state: 'suspected', actor: 'detector', at: detectedAt, text: /people say/ })
    t.equal(timeline.at(-1).state, state)
    if (confirmedAt !== null) t.ok(timeline.some(({ type, at }: Record<string, string>) => type === 'confirmed' && at === confirmedAt))
    t.strictSame(timeline.map(({ at }: { at: string }) => at), timeline.map(({ at }: { at: string }) => at).sort())
    for (const entry of timeline) {
      members(t, entry, 'id at type state actor text reading')
      members(t, entry.reading, `down expected bound score chart since${'networks' in entry.reading ? ' networks' : ''}`)
      t.ok(entry.reading.since < entry.at)
    }
    t.ok(timeline[0].reading.networks >= 7)
  }
})

t.test('those without a fallback come first, and everybody counts once', async t => {
  const { device_impact: impact } = first
  for (const cell of impact) members(t, cell, 'device_class down expected_down fallback')
  t.strictSame(impact.map(({ device_class: name }: Record<string, string>) => name).sort(), ['ipad-wifi', 'iphone', 'mac', 'unknown'])
  const helped = impact.map(({ fallback }: { fallback: string | null }) => fallback !== null)
  t.strictSame(helped, [...helped].sort((a, b) => Number(a) - Number(b)))
  t.equal(impact.find(({ device_class: name }: Record<string, string>) => name === 'iphone').fallback, 'SMS')
  t.ok(impact.reduce((all: number, { down }: { down: number }) => all + down, 0) <= 40)
})

t.test('the filters keep what they say, together and at their ends', async t => {
  const { items } = await list()
  const ids = async (query: string) => (await list(query)).items.map(({ id }: { id: string }) => id)
  const [newest, middle, oldest] = items
  t.strictSame(await ids('?service=imessage'), [newest.id, oldest.id])
  t.strictSame(await ids('?service=whatsapp'), [])
  for (const state of ['suspected', 'confirmed', 'recovering', 'resolved', 'dismissed']) {
    t.strictSame(await ids(`?state=${state}`), items.filter((item: typeof newest) => item.state === state).map(({ id }: { id: string }) => id), state)
  }
  t.strictSame(await ids(`?since=${middle.detected_at}`), [newest.id, middle.id], 'since includes')
  t.strictSame(await ids(`?until=${middle.detected_at}`), [oldest.id], 'until does not')
  t.strictSame(await ids(`?since=${middle.detected_at}&until=${newest.detected_at}`), [middle.id])
  t.strictSame(await ids(`?service=imessage&state=${oldest.state}&until=${middle.detected_at}`), [oldest.id])
})

t.test('pages follow one another without a gap or a repeat, newest first', async t => {
  const { items } = await list()
  const seen: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const page: { items: { id: string }[], next_cursor: string | null } = await list(`?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`)
    members(t, page, 'items next_cursor')
    t.equal(page.items.length, 1)
    seen.push(page.items[0]!.id)
    cursor = page.next_cursor
  }
  t.strictSame(seen, items.map(({ id }: { id: string }) => id))
  t.equal((await list('?limit=3')).next_cursor, null, 'a full last page says that it is the last')
  const { next_cursor: next } = await list('?limit=1')
  t.strictSame((await list(`?limit=1&cursor=${next}&service=imessage`)).items[0].id, items[2].id, 'filters hold on every page')
})

t.test('what is not valid is refused by name, and an id that is none is not there', async t => {
  const foreign = Buffer.from('["imessage"]').toString('base64url')
  for (const cursor of ['x', '%00', foreign, Buffer.from('["2012-11-18T18:00:00.000Z","x"]').toString('base64url'), Buffer.from('{}').toString('base64url'), 'a'.repeat(600), '']) {
    problem(t, await app.ask(`/v1/outages?cursor=${cursor}`), 'invalid', ['/cursor'])
  }
  for (const limit of ['0', '201', '-1', '1.5', 'x', '', '1e9', 'NaN']) problem(t, await app.ask(`/v1/outages?limit=${limit}`), 'invalid', ['/limit'])
  for (const limit of ['1', '200']) t.equal((await app.ask(`/v1/outages?limit=${limit}`)).status, 200)
  for (const [name, value] of [['service', 'nope'], ['service', 'NOPE'], ['state', 'open'], ['state', ''], ['since', 'yesterday'], ['until', '2012']]) {
    problem(t, await app.ask(`/v1/outages?${name}=${value}`), 'invalid', [`/${name}`])
  }
  for (const id of ['1', first.id.slice(1), `${first.id}0`, first.id.replace(/.$/, 'g'), '0192a1b2-0000-7000-8000-000000000000']) problem(t, await app.ask(`/v1/outages/${id}`), 'not-found')
})

t.test('the curve and the picture show the outage where the timeline has it', async t => {
  const { body: outage } = await app.ask(`/v1/outages/${first.id}`)
  const from = new Date(Date.parse(outage.detected_at) - 30 * MINUTE_MS).toISOString()
  const url = `/v1/services/imessage/curve?window=1m&from=${from}&to=${outage.resolved_at ?? outage.dismissed_at}`
  const { body: { points } } = await app.ask(url)
  const stateAt = (at: string) => points.find(({ start }: { start: string }) => Date.parse(start) === Date.parse(at)).state
  t.match(stateAt(outage.detected_at), /suspected|outage/)
  t.notMatch(stateAt(new Date(Date.parse(outage.detected_at) - 2 * MINUTE_MS).toISOString()), /suspected|outage|recovering/)
  if (outage.confirmed_at !== null) t.equal(stateAt(outage.confirmed_at), 'outage')
  const { text } = await app.ask(url, { headers: { accept: 'image/svg+xml' } })
  t.match(text, /<svg/)
  const { body: hours } = await app.ask(`/v1/services/imessage/curve?window=1h&from=${from}`)
  t.ok(hours.points.some(({ state }: { state: string }) => state === 'outage' || state === 'suspected'), 'the gravest of a window counts')
})

t.test('pages hold still while new outages appear', async t => {
  const before = (await list()).items.map(({ id }: { id: string }) => id)
  const { items: [newest], next_cursor: next } = await list('?limit=1')
  await fail('whatsapp', [undefined])
  const { items } = await list()
  t.equal(items.length, before.length + 1, 'one more than before')
  t.equal(items[0].service, 'whatsapp')
  const rest = await list(`?cursor=${next}`)
  t.strictSame([newest.id, ...rest.items.map(({ id }: { id: string }) => id)], before)
})

t.test('each window of the curve has the gravest state that the timeline gave it', async t => {
  const { timeline, detected_at: detectedAt, resolved_at: resolvedAt, dismissed_at: dismissedAt } = (await app.ask(`/v1/outages/${first.id}`)).body
  const end = Date.parse(resolvedAt ?? dismissedAt)
  const said: Record<string, string> = { suspected: 'suspected', confirmed: 'outage', recovering: 'recovering' }
  const gravity = ['operational', 'recovering', 'suspected', 'outage']
  for (const [window, minutes] of [['1m', 1], ['5m', 5], ['15m', 15], ['1h', 60]] as const) {
    const from = new Date(Date.parse(detectedAt) - 2 * MINUTE_MS).toISOString()
    const { body: { points } } = await app.ask(`/v1/services/imessage/curve?window=${window}&from=${from}&to=${new Date(end + 5 * MINUTE_MS).toISOString()}`)
    const expected = points.map(({ start }: { start: string }) => {
      const [since, until] = [Date.parse(start), Date.parse(start) + minutes * MINUTE_MS]
      const held = timeline.filter(({ at, state }: Record<string, string>, i: number) =>
        said[state!] !== undefined && Date.parse(at!) < until && (i + 1 === timeline.length ? Infinity : Date.parse(timeline[i + 1].at)) > since)
      return gravity[Math.max(0, ...held.map(({ state }: { state: string }) => gravity.indexOf(said[state]!)))]
    })
    t.strictSame(points.map(({ state }: { state: string }) => state), expected, window)
  }
  t.ok(timeline.some(({ state }: { state: string }) => state === 'confirmed') && timeline.some(({ state }: { state: string }) => state === 'recovering'), 'it went through its states')
})
