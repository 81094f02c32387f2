import t from 'tap'
import { ComponentItem, ServiceItem, WordItem } from '../../src/http/catalog.ts'
import { Summary } from '../../src/http/services.ts'
import { WorkaroundItem } from '../../src/http/workarounds.ts'
import { addressOf, openTestApp } from '../app.ts'
import { exactly, members, problem } from './contract.ts'

const app = await openTestApp(t, { now: new Date('2012-11-18T18:00:00Z') })
const token = await app.token(['catalog'])
const admin = await app.token(['admin'])
let people = 0
const call = (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, payload?: object, headers = {}, bearer = token) => app.ask(`/v1/admin${path}`, {
  method, headers: { 'x-forwarded-for': addressOf(people++), authorization: `Bearer ${bearer}`, ...headers }, ...(payload === undefined ? {} : { payload })
})
const change = async (path: string, patch: object) => call('PATCH', path, patch, { 'if-match': (await call('GET', path)).headers['etag'] })
const report = (body: object) => app.report({ verdict: 'down', ...body }, addressOf(people++))
const audit = async () => (await call('GET', '/audit', undefined, {}, admin)).body.items

async function readAll (path: string): Promise<any[]> {
  const all: unknown[] = []
  for (let cursor: string | null = ''; cursor !== null;) {
    const { status, body }: { status: number, body: any } = await call('GET', `${path}${path.includes('?') ? '&' : '?'}limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`)
    if (status !== 200) throw new Error(JSON.stringify(body))
    all.push(...body.items)
    cursor = body.next_cursor
  }
  return all
}

t.test('every kind of thing is listed whole, page by page, by its key, and each can be read alone', async t => {
  for (const [path, schema, keyOf] of [
    ['/services', ServiceItem, ({ slug }: any) => slug], ['/components', ComponentItem, ({ service, slug }: any) => `${service}/${slug}`],
    ['/device-classes', WordItem, ({ slug }: any) => slug], ['/symptoms', WordItem, ({ slug }: any) => slug]
  ] as const) {
    const items = await readAll(path)
    t.ok(items.length > 5)
    t.strictSame(items.map(keyOf), [...new Set(items.map(keyOf))].sort(), path)
    for (const item of items.slice(0, 3)) {
      exactly(t, schema, item)
      t.strictSame((await call('GET', `${path}/${keyOf(item)}`)).body, item)
    }
    problem(t, await call('GET', `${path}?retired=maybe`), 'invalid', ['/retired'])
    problem(t, await call('GET', `${path}?cursor=x`), 'invalid', ['/cursor'])
    problem(t, await call('GET', `${path}/${keyOf(items[0])}x-nothing`), 'not-found')
  }
  t.ok((await readAll('/components?service=imessage')).every(({ service }) => service === 'imessage'))
  problem(t, await call('GET', '/components?service=nothing'), 'invalid', ['/service'])
})

t.test('a service made here takes reports at once, is watched from then on, and its slug is taken', async t => {
  problem(t, await report({ service: 'new-mail' }), 'invalid', ['/service'])
  const body = { slug: 'new-mail', name: 'New Mail', group: 'Mail', expected_per_hour: 7, fallbacks: [{ device_class: 'iphone', fallback: 'SMS' }, { device_class: 'mac', fallback: null }] }
  const made = await call('POST', '/services', body)
  t.equal(made.status, 201)
  exactly(t, ServiceItem, made.body)
  t.match(made.body, { ...body, proof_required: false, live_since: '2012-11-18T18:00:00Z', retired: false, retired_at: null })
  t.equal((await report({ service: 'new-mail' })).status, 201)
  const { body: summary } = await app.ask('/v1/services/new-mail')
  exactly(t, Summary, summary)
  t.match(summary, { name: 'New Mail', group: 'Mail', fallbacks: body.fallbacks })
  problem(t, await call('POST', '/services', body), 'conflict', ['/slug'])
  t.match((await audit())[0], { action: 'service.create', target: 'service/new-mail', before: null, after: made.body })
})

t.test('services made at once get numbers of their own', async t => {
  const made = await Promise.all([1, 2, 3, 4].map(i => call('POST', '/services', { slug: `at-once-${i}`, name: `At once ${i}` })))
  t.strictSame(made.map(({ status }) => status), [201, 201, 201, 201])
  const rows = await app.database.query<{ id: number }>("select id from services where slug like 'at-once-%'")
  t.equal(new Set(rows.map(({ id }) => id)).size, 4)
})

t.test('a change names the version it changes, and is told at once', async t => {
  const path = '/services/github'
  await app.ask('/v1/services')
  problem(t, await call('PATCH', path, { name: 'Hub' }), 'precondition-required')
  problem(t, await call('PATCH', path, { name: 'Hub' }, { 'if-match': '"other"' }), 'precondition-failed')
  const before = (await call('GET', path)).body
  const changed = await change(path, { name: 'Hub', proof_required: true, group: null })
  t.strictSame(changed.body, { ...before, name: 'Hub', proof_required: true, group: null })
  t.match((await app.ask('/v1/services/github')).body, { name: 'Hub', group: null })
  t.match((await audit())[0], { action: 'service.update', target: 'service/github', before, after: changed.body })
  const { length } = await audit()
  t.equal((await change(path, {})).status, 200)
  t.equal((await audit()).length, length, 'what changes nothing is not written down')
})

t.test('what a service is expected to have reaches the detector with the next minute', async t => {
  await change('/services/github', { expected_per_hour: 41 })
  await app.passMinute()
  await app.passMinute()
  const [row] = await app.database.query<{ state: { expectedPerHour: number } }>(
    "select state from detector_states join services on id = service_id where slug = 'github' order by judged_until desc limit 1")
  t.equal(row!.state.expectedPerHour, 41)
})

t.test('a retired service takes no reports and is listed no more; its curve is still there, and it can come back', async t => {
  const listed = async () => (await app.ask('/v1/services?limit=200')).body.items.some(({ slug }: { slug: string }) => slug === 'signal')
  t.equal((await report({ service: 'signal' })).status, 201)
  t.equal(await listed(), true)
  t.equal((await call('DELETE', '/services/signal')).status, 204)
  const { length } = await audit()
  t.equal((await call('DELETE', '/services/signal')).status, 204)
  t.equal((await audit()).length, length)
  problem(t, await report({ service: 'signal' }), 'invalid', ['/service'])
  t.equal(await listed(), false)
  t.equal((await app.ask('/v1/services/signal')).status, 200)
  t.equal((await app.ask('/v1/services/signal/curve')).status, 200)
  t.equal((await app.ask('/v1/outages?service=signal')).status, 200)
  t.strictSame((await readAll('/services?retired=true')).map(({ slug }) => slug), ['signal'])
  t.notOk((await readAll('/services?retired=false')).some(({ slug }) => slug === 'signal'))
  problem(t, await call('POST', '/services', { slug: 'signal', name: 'Signal' }), 'conflict', ['/slug'])
  t.match((await change('/services/signal', { retired: false })).body, { retired: false, retired_at: null })
  t.equal((await report({ service: 'signal' })).status, 201)
  t.equal(await listed(), true)
})

t.test('device classes, symptoms and components come and go in the same way', async t => {
  for (const [path, list, field] of [['/device-classes', '/v1/device-classes', 'device_class'], ['/symptoms', '/v1/symptoms', 'symptom']] as const) {
    const slugs = async () => (await app.ask(`${list}?limit=200`)).body.items.map(({ slug }: { slug: string }) => slug)
    const made = await call('POST', path, { slug: 'new-thing', name: 'New thing' })
    t.equal(made.status, 201)
    problem(t, await call('POST', path, { slug: 'new-thing', name: 'Other' }), 'conflict', ['/slug'])
    t.equal((await report({ service: 'imessage', [field]: 'new-thing' })).status, 201)
    t.match((await change(`${path}/new-thing`, { name: 'Newer' })).body, { slug: 'new-thing', name: 'Newer' })
    t.ok((await slugs()).includes('new-thing'))
    t.equal((await call('DELETE', `${path}/new-thing`)).status, 204)
    t.notOk((await slugs()).includes('new-thing'))
    problem(t, await report({ service: 'imessage', [field]: 'new-thing' }), 'invalid', [`/${field}`])
  }
  t.equal((await app.ask('/v1/services/imessage/curve?device_class=new-thing')).status, 200)
  problem(t, await call('DELETE', '/device-classes/unknown'), 'conflict')
  const components = async () => (await app.ask('/v1/services/imessage')).body.components
  t.equal((await call('POST', '/components', { service: 'imessage', slug: 'stickers', name: 'Stickers' })).status, 201)
  problem(t, await call('POST', '/components', { service: 'imessage', slug: 'stickers', name: 'Stickers' }), 'conflict', ['/slug'])
  problem(t, await call('POST', '/components', { service: 'nothing', slug: 'stickers', name: 'Stickers' }), 'invalid', ['/service'])
  t.ok((await components()).some(({ slug }: { slug: string }) => slug === 'stickers'))
  members(t, (await components())[0], 'slug name')
  t.equal((await change('/components/imessage/stickers', { name: 'Sticky' })).body.name, 'Sticky')
  t.equal((await call('DELETE', '/components/imessage/stickers')).status, 204)
  t.notOk((await components()).some(({ slug }: { slug: string }) => slug === 'stickers'))
})

t.test('workarounds are told for the device class asked, those for devices without a fallback first', async t => {
  const titles = async (query = '') => (await app.ask(`/v1/services/imessage${query}`)).body.workarounds.map(({ title }: { title: string }) => title)
  for (const body of [
    { service: 'imessage', device_class: 'mac', title: 'Use the web', url: 'https://example.org/help' },
    { service: 'imessage', title: 'Call' },
    { service: 'imessage', device_class: 'iphone', title: 'Switch to SMS' }
  ]) {
    const made = await call('POST', '/workarounds', body)
    t.equal(made.status, 201)
    exactly(t, WorkaroundItem, made.body)
    app.now = new Date(app.now.getTime() + 1_000)
  }
  const items = await readAll('/workarounds?service=imessage')
  t.strictSame(items.map(({ title }) => title), ['Switch to SMS', 'Call', 'Use the web'], 'newest first')
  t.strictSame(await readAll('/workarounds?service=github'), [])
  t.strictSame(await titles(), ['Use the web', 'Call', 'Switch to SMS'])
  t.strictSame(await titles('?device_class=mac'), ['Use the web', 'Call'])
  const { body: { items: listed } } = await app.ask('/v1/services?limit=200&device_class=iphone')
  const { workarounds } = listed.find(({ slug }: { slug: string }) => slug === 'imessage')
  t.strictSame(workarounds, [{ device_class: null, title: 'Call', url: null }, { device_class: 'iphone', title: 'Switch to SMS', url: null }])
  t.strictSame((await report({ service: 'imessage' })).body.service.workarounds, [])
  const path = `/workarounds/${items[1].id}`
  t.match((await change(path, { device_class: 'mac', url: 'http://example.org' })).body, { device_class: 'mac', url: 'http://example.org/', title: 'Call' })
  t.equal((await call('DELETE', path)).status, 204)
  t.strictSame(await titles('?device_class=mac'), ['Use the web'])

  for (let minute = 0; minute < 12; minute++) {
    for (let i = 0; i < 4; i++) await report({ service: 'imessage' })
    await app.passMinute()
  }
  const { body: { items: [outage] } } = await app.ask('/v1/outages?service=imessage')
  const told = async (query: string) => (await app.ask(`/v1/outages/${outage.id}${query}`)).body.workarounds.map(({ title }: { title: string }) => title)
  t.strictSame(await told(''), ['Use the web', 'Switch to SMS'])
  t.strictSame(await told('?device_class=iphone'), ['Switch to SMS'])
  problem(t, await app.ask(`/v1/outages/${outage.id}?device_class=toaster`), 'invalid', ['/device_class'])
})

t.test('what is wrong is refused by name', async t => {
  const service = { slug: 'thing', name: 'Thing' }
  for (const [path, body, pointers] of [
    ['/services', { ...service, slug: 'Not a slug' }, ['/slug']],
    ['/services', { ...service, name: '  ' }, ['/name']],
    ['/services', { ...service, name: 'a\u0000b' }, ['/name']],
    ['/services', { ...service, expected_per_hour: 0 }, ['/expected_per_hour']],
    ['/services', { ...service, proof_required: 'yes' }, ['/proof_required']],
    ['/services', { ...service, fallbacks: [{ device_class: 'toaster', fallback: null }, { device_class: 'mac', fallback: null }, { device_class: 'mac', fallback: 'x' }] }, ['/fallbacks/0/device_class', '/fallbacks/2/device_class']],
    ['/workarounds', { service: 'imessage', title: 'x', device_class: 'toaster' }, ['/device_class']],
    ['/workarounds', { service: 'nothing', title: 'x' }, ['/service']],
    ...['javascript:alert(1)', 'ftp://example.org', 'https://me:pass@example.org', 'x', `https://example.org/${'x'.repeat(2_000)}`]
      .map(url => ['/workarounds', { service: 'imessage', title: 'x', url }, ['/url']] as const)
  ] as const) problem(t, await call('POST', path, body), 'invalid', [...pointers])
  problem(t, await call('POST', '/symptoms', { ...service, other: 1 }), 'malformed', ['/other'])
  problem(t, await call('PATCH', '/services/github', { slug: 'other' }), 'malformed', ['/slug'])
  problem(t, await call('GET', '/services', undefined, {}, await app.token(['moderate'])), 'forbidden')
})
