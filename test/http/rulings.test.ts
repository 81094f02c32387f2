import t from 'tap'
import { Acknowledgement } from '../../src/http/acknowledgements.ts'
import { Outage } from '../../src/http/outages.ts'
import { addressOf, openTestApp } from '../app.ts'
import { exactly, problem } from './contract.ts'

const START = new Date('2012-11-18T18:00:00Z')
let people = 0

/** An app in which a moderator speaks. */
async function open (t: Parameters<typeof openTestApp>[0]) {
  const app = await openTestApp(t, { now: START })
  const headers = { authorization: `Bearer ${await app.token(['moderate'])}` }
  await app.passMinute()
  const post = (path: string, payload: object) => app.ask(`/v1/admin/${path}`, { method: 'POST', headers, payload })
  return {
    app,
    post,
    get: (path: string) => app.ask(`/v1/admin/${path}`, { headers }),
    word: (id: string, word: string, more: object = {}) => post(`outages/${id}/${word}`, { reason: `We know ${word}`, ...more }),
    outages: async () => (await app.ask('/v1/outages')).body.items as Record<string, any>[],
    fail: async (minutes: number, each: number, service = 'imessage') => {
      for (let minute = 0; minute < minutes; minute++) {
        await Promise.all(Array.from({ length: each }, () => app.report({ service, verdict: 'down', device_class: 'mac' }, addressOf(people++))))
        await app.passMinute()
      }
      await app.passMinute()
    }
  }
}

t.test('a moderator opens an outage that reports alone do not show; it is told at once and judged on', async t => {
  const { app, post, outages } = await open(t)
  const body = { service: 'imessage', region: 'CA-ON', device_class: 'mac', onset_at: '2012-11-18T17:40:00Z', reason: 'Apple rang' }
  const { status, body: opened } = await post('outages', body)
  t.equal(status, 201)
  exactly(t, Outage, opened)
  t.match(opened, { state: 'confirmed', scope: { region: 'CA-ON', device_class: 'mac' }, onset_at: body.onset_at, severity: 1 })
  t.match(opened.timeline, [{ type: 'confirmed', actor: 'moderator', reading: null, text: /Apple rang/ }])
  t.match((await app.ask('/v1/services/imessage')).body, { state: 'outage', outages: [{ id: opened.id }] })
  problem(t, await post('outages', body), 'conflict')
  await app.passMinute()
  t.match(await outages(), [{ id: opened.id, state: 'confirmed' }], 'judging goes on with it')
  problem(t, await post('outages', { ...body, service: 'nope', device_class: 'abacus', onset_at: '2030-01-01T00:00:00Z' }), 'invalid', ['/service', '/device_class', '/onset_at'])
  problem(t, await post('outages', { service: 'imessage', region: 'ZZZ', reason: '' }), 'invalid', ['/region', '/onset_at', '/reason'])
})

t.test('each word is obeyed from the states it fits, told on the timeline and audited; in the others it is refused', async t => {
  const { app, fail, word, outages } = await open(t)
  for (let minute = 0; minute < 30 && (await outages()).length === 0; minute++) await fail(1, 3)
  const { id, state } = (await outages())[0]!
  t.equal(state, 'suspected')
  problem(t, await word(id, 'resolve'), 'conflict')
  const confirmed = await word(id, 'confirm')
  t.equal(confirmed.status, 200)
  exactly(t, Outage, confirmed.body)
  t.match(confirmed.body, { state: 'confirmed', confirmed_at: /Z$/ })
  problem(t, await word(id, 'confirm'), 'conflict')
  t.match((await word(id, 'annotate')).body.timeline.at(-1), { type: 'annotated', actor: 'moderator', text: 'A moderator notes: We know annotate' })
  await app.passMinute()
  const resolved = await word(id, 'resolve')
  t.match(resolved.body, { state: 'resolved', resolved_at: /Z$/ })
  problem(t, await word(id, 'resolve'), 'conflict')
  await app.passMinute()
  t.match(await outages(), [{ id, state: 'resolved' }])
  const dismissed = await word(id, 'dismiss')
  t.match(dismissed.body, { state: 'dismissed', dismissed_at: /Z$/, resolved_at: resolved.body.resolved_at })
  problem(t, await word(id, 'dismiss'), 'conflict')
  t.strictSame(dismissed.body.timeline.map(({ type, actor }: Record<string, string>) => `${actor} ${type}`),
    ['detector suspected', 'moderator confirmed', 'moderator annotated', 'moderator resolved', 'moderator dismissed'].sort((a, b) =>
      dismissed.body.timeline.findIndex(({ type }: { type: string }) => a.endsWith(type)) - dismissed.body.timeline.findIndex(({ type }: { type: string }) => b.endsWith(type))))
  const audit = (await app.ask('/v1/admin/audit', { headers: { authorization: `Bearer ${await app.token(['admin'])}` } })).body.items
  t.match(audit.find(({ action }: { action: string }) => action === 'outage.resolve'), { target: `outage/${id}`, before: { state: 'confirmed' }, after: { state: 'resolved' }, reason: 'We know resolve' })
  problem(t, await word('0192a1b2-0000-7000-8000-000000000000', 'confirm'), 'not-found')
  problem(t, await word('x', 'confirm'), 'not-found')
  problem(t, await word(id, 'confirm', { reason: 'a\nb' }), 'invalid', ['/reason'])
  problem(t, await word(id, 'confirm', { why: 'x' }), 'malformed', ['/why'])
  t.notMatch(JSON.stringify(dismissed.body), /[0-9a-f]{12}_|"by"/, 'who it was is the audit log\'s')
})

t.test('a dismissed outage does not come back from what was said before, nor does another instance judge around the word', async t => {
  const { app, fail, word, outages } = await open(t)
  await fail(4, 8)
  const { id } = (await outages())[0]!
  t.match((await word(id, 'dismiss')).body, { state: 'dismissed' })
  for (let minute = 0; minute < 30; minute++) await app.passMinute()
  t.match(await outages(), [{ id, state: 'dismissed' }])
  t.equal((await outages()).length, 1)
  t.match((await app.ask('/v1/services/imessage')).body.outages, [])
})

t.test('one outage is merged into another: dismissed, and each names the other', async t => {
  const { app, fail, word, outages } = await open(t)
  await fail(4, 8)
  const { id: first } = (await outages())[0]!
  await word(first, 'resolve')
  await fail(4, 12)
  const [{ id: second }] = await outages() as [{ id: string }]
  t.not(second, first)
  problem(t, await word(second, 'merge', { into: second }), 'invalid', ['/into'])
  problem(t, await word(second, 'merge', { into: '0192a1b2-0000-7000-8000-000000000000' }), 'invalid', ['/into'])
  problem(t, await word(second, 'merge'), 'invalid', ['/into'])
  t.match((await word(second, 'merge', { into: first })).body, { state: 'dismissed', related: [first] })
  const { body } = await app.ask(`/v1/outages/${first}`)
  t.match(body, { state: 'resolved', related: [second] })
  t.match(body.timeline.at(-1), { type: 'merged', actor: 'moderator' })
  problem(t, await word(second, 'merge', { into: first }), 'conflict')
  await app.passMinute()
  t.match(await outages(), [{ id: second, state: 'dismissed' }, { id: first, state: 'resolved' }])
})

t.test('the vendor\'s word is tied to the outage that it is about, and the earliest gives the lead time', async t => {
  const { app, fail, post, get, outages } = await open(t)
  await fail(4, 8)
  const outage = (await outages())[0]!
  const body = { service: 'imessage', source: 'Apple, System Status', published_at: '2012-11-18T18:05:00Z', url: 'https://www.apple.com/support/systemstatus/', text: 'Some users are affected.' }
  const { status, body: said } = await post('acknowledgements', body)
  t.equal(status, 201)
  exactly(t, Acknowledgement, said)
  t.match(said, { ...body, outage: outage['id'] })
  const lead = (Date.parse(body.published_at) - Date.parse(outage['detected_at'])) / 1000
  const read = async () => (await app.ask(`/v1/outages/${outage['id']}`)).body
  t.match(await read(), { acknowledgement: { source: body.source, published_at: body.published_at, url: body.url }, lead_time_s: lead })
  t.match((await read()).timeline.find(({ type }: { type: string }) => type === 'acknowledged'), { actor: 'vendor', at: body.published_at, reading: null, text: /Apple, System Status acknowledged it: "Some users/ })
  t.match((await outages())[0], { lead_time_s: lead })
  const earlier = { service: 'imessage', outage: outage['id'], source: 'Apple on the phone', published_at: '2012-11-18T17:59:00Z' }
  t.match((await post('acknowledgements', earlier)).body, { url: null, text: null })
  t.match(await read(), { acknowledgement: { source: 'Apple on the phone' }, lead_time_s: lead - 360 })
  t.match((await post('acknowledgements', { ...body, published_at: '2012-11-01T00:00:00Z' })).body, { outage: null }, 'far from any it is tied to none')
  t.strictSame((await get('acknowledgements')).body.items.map(({ published_at: at }: Record<string, string>) => at), [body.published_at, earlier.published_at, '2012-11-01T00:00:00Z'])
  t.equal((await get('acknowledgements?limit=1')).body.items.length, 1)
  problem(t, await get('acknowledgements?service=nope'), 'invalid', ['/service'])
  problem(t, await post('acknowledgements', { ...body, published_at: '2030-01-01T00:00:00Z' }), 'invalid', ['/published_at'])
  problem(t, await post('acknowledgements', { ...body, url: 'javascript:alert(1)' }), 'invalid', ['/url'])
  problem(t, await post('acknowledgements', { ...body, service: 'facetime', outage: outage['id'] }), 'invalid', ['/outage'])
})
