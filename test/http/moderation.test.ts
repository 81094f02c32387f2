import pg from 'pg'
import t from 'tap'
import { DAY_MS } from '../../src/core/time.ts'
import { Action, Preview } from '../../src/http/moderation.ts'
import { AdminReport, Quarantined } from '../../src/http/raw-reports.ts'
import { addressOf, openTestApp, type TestApp } from '../app.ts'
import { exactly, problem } from './contract.ts'

const START = new Date('2012-11-18T12:00:00Z')
let people = 0

/** An app with a moderator, who calls. */
async function open (t: Parameters<typeof openTestApp>[0]) {
  const app = await openTestApp(t, { now: START })
  const headers = { authorization: `Bearer ${await app.token(['moderate'])}` }
  await app.passMinute()
  return {
    app,
    get: (path: string) => app.ask(`/v1/admin/${path}`, { headers }),
    post: (path: string, payload?: object) => app.ask(`/v1/admin/${path}`, { method: 'POST', headers, ...(payload === undefined ? {} : { payload }) })
  }
}

async function crowd (app: TestApp, minutes: number, each: number, body: object = {}): Promise<void> {
  for (let minute = 0; minute < minutes; minute++) {
    await Promise.all(Array.from({ length: each }, () => app.report({ service: 'imessage', verdict: 'down', region: 'CA-ON', device_class: 'mac', ...body }, addressOf(people++))))
    await app.passMinute()
  }
}

const TABLES = ['reports', 'windows', 'outages', 'baselines', 'detector_states', 'withheld', 'stale_minutes']
async function dump (app: TestApp): Promise<Record<string, string[]>> {
  const dumped: Record<string, string[]> = {}
  for (const table of TABLES) dumped[table] = (await app.database.query<{ row: string }>(`select x::text as row from ${table} x order by 1`)).map(({ row }) => row)
  return dumped
}

t.test('raw reports are found by everything that they say, newest first and a page at a time', async t => {
  const { app, get } = await open(t)
  await crowd(app, 3, 2)
  await crowd(app, 1, 1, { region: 'CA', verdict: 'working', device_class: 'iphone', symptom: undefined })
  await crowd(app, 1, 1, { region: 'GB', service: 'facetime', symptom: 'calls', impact: 'blocked' })
  for (let i = 0; i < 4; i++) await app.report({ service: 'imessage', verdict: 'down', reporter: `r${i}` }, '198.51.100.7')
  const { body } = await get('reports')
  t.equal(body.items.length, 12)
  for (const item of body.items) exactly(t, AdminReport, item)
  const counts: [string, number][] = [
    ['service=imessage', 11], ['service=facetime', 1], ['region=CA', 7], ['region=CA-ON', 6], ['device_class=mac', 7], ['verdict=working', 1],
    ['disposition=quarantined', 1], ['service=imessage&disposition=counted', 10], ['from=2012-11-18T12:04:00Z', 6], ['to=2012-11-18T12:02:00Z', 2],
    [`network=${body.items.find((item: { disposition: string }) => item.disposition === 'quarantined').network}`, 4],
    ['from=2012-11-18T12:02:00Z&to=2012-11-18T12:03:00Z&service=imessage', 2], ['to=2012-11-17T00:00:00Z', 0]
  ]
  for (const [query, count] of counts) t.equal((await get(`reports?${query}`)).body.items.length, count, query)
  for (const query of ['', 'service=imessage&']) {
    const all = (await get(`reports?${query}`)).body.items
    const paged = []
    for (let cursor: string | null = ''; cursor !== null;) {
      const page: { items: object[], next_cursor: string | null } = (await get(`reports?${query}limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`)).body
      paged.push(...page.items)
      cursor = page.next_cursor
    }
    t.strictSame(paged, all)
  }
  problem(t, await get('reports?service=nope&device_class=mac'), 'invalid', ['/service'])
  problem(t, await get('reports?region=XX-1&verdict=broken'), 'invalid', ['/region', '/verdict'])
  problem(t, await get('reports?address=192.0.2.1'), 'malformed', ['/address'])
  t.notMatch(JSON.stringify(body), /198\.51|100\.64/)

  const held = await get('quarantine')
  t.equal(held.body.items.length, 1)
  exactly(t, Quarantined, held.body.items[0])
  t.match(held.body.items[0], { service: 'imessage', reason: 'voices', count: 1, network: /^[0-9a-f]{32}$/ })
  t.equal((await get('quarantine?service=facetime')).body.items.length, 0)
  t.equal((await get('quarantine?reason=block')).body.items.length, 0)
})

t.test('a preview does nothing, and the action does what it said, to the reports that it found and no others', async t => {
  const { app, get, post } = await open(t)
  await crowd(app, 5, 8)
  await crowd(app, 1, 3, { device_class: 'iphone', verdict: 'working' })
  await app.passMinute()
  const before = await dump(app)
  const chosen = { action: 'exclude', filter: { service: 'imessage', device_class: 'mac' } }
  const { status, body: preview } = await post('moderation/preview', chosen)
  t.equal(status, 200)
  exactly(t, Preview, preview)
  t.match(preview, { matched: 40, changed: 40, windows: { before: { working: 0, degraded: 0, down: 40 }, after: { working: 0, degraded: 0, down: 0 } } })
  t.match(preview.outages, { before: [{ state: 'confirmed' }], after: [{ id: preview.outages.before[0].id, state: 'dismissed' }] })
  t.strictSame(await dump(app), before)

  await app.report({ service: 'imessage', verdict: 'down', region: 'CA-ON', device_class: 'mac' }, addressOf(people++))
  const { status: done, body: action } = await post('moderation/actions', { ...chosen, until: preview.until, reason: 'A script' })
  t.equal(done, 201)
  exactly(t, Action, action)
  const { id, by, created_at: createdAt, action: what, reason, reverted_at: revertedAt, ...result } = action
  t.strictSame(result, preview)
  t.match({ what, reason, revertedAt }, { what: 'exclude', reason: 'A script', revertedAt: null })
  t.match({ by, createdAt }, { by: /^[0-9a-f]{12}$/, createdAt: /Z$/ })
  t.equal((await get('reports?disposition=excluded')).body.items.length, 40)
  t.equal((await get('reports?disposition=counted&device_class=mac')).body.items.length, 1, 'what came in since is untouched')
  t.strictSame((await get(`moderation/actions/${id}`)).body, action)
  t.strictSame((await get('moderation/actions')).body.items, [action])
  await app.jobs.tick()
  const { body: outage } = await app.ask(`/v1/outages/${preview.outages.before[0].id}`)
  t.equal(outage.state, 'dismissed')
  const points = (await app.ask('/v1/services/imessage/curve?window=1h')).body.points
  t.equal(points.reduce((sum: number, { down }: { down: number }) => sum + down, 0), 1)
})

t.test('what is stale long before the reports that are meant, as after an import, holds no moderator up', async t => {
  const { app, post } = await open(t)
  await crowd(app, 2, 3)
  await app.passMinute()
  const long = new Date(START.getTime() - 5 * DAY_MS)
  await app.database.query('insert into stale_minutes values (1, $1), (1, $2)', [long, app.now])
  const { status, body } = await post('moderation/actions', { action: 'exclude', filter: { service: 'imessage' }, reason: 'A script' })
  t.equal(status, 201)
  t.match(body, { changed: 6, windows: { before: { down: 6 }, after: { down: 0 } } })
  t.strictSame(await app.database.query('select minute from stale_minutes'), [{ minute: long }])
})

t.test('an action and its undoing leave every byte as it was, whether or not it was judged again between', async t => {
  for (const judged of [false, true]) {
    const { app, get, post } = await open(t)
    await crowd(app, 5, 8)
    for (let i = 0; i < 5; i++) await app.report({ service: 'imessage', verdict: 'down', reporter: `r${i}` }, '198.51.100.7')
    await app.passMinute()
    await app.passMinute()
    const before = await dump(app)
    t.equal(before['outages']!.length, 1)
    const { body: { id } } = await post('moderation/actions', { action: 'exclude', filter: { service: 'imessage' }, reason: 'All of it' })
    t.equal((await get('reports?disposition=excluded')).body.items.length, 45)
    if (judged) {
      await app.jobs.tick()
      t.match(await app.database.query('select state from outages'), [{ state: 'dismissed' }])
    }
    const { status, body } = await post(`moderation/actions/${id}/revert`, { reason: 'A mistake' })
    t.equal(status, 200)
    t.ok(body.reverted_at)
    if (judged) await app.jobs.tick()
    t.strictSame(await dump(app), before, judged ? 'judged between' : 'at once')
    problem(t, await post(`moderation/actions/${id}/revert`), 'conflict')
    const log = (await app.ask('/v1/admin/audit', { headers: { authorization: `Bearer ${await app.token(['admin'])}` } })).body.items.map(({ action }: { action: string }) => action)
    t.strictSame(log.filter((action: string) => action.startsWith('moderation')), ['moderation.revert', 'moderation.exclude'])
  }
})

t.test('what was excluded becomes what it was, and what was held back counts when it is released', async t => {
  const { app, get, post } = await open(t)
  for (let i = 0; i < 5; i++) await app.report({ service: 'imessage', verdict: 'down', reporter: `r${i}` }, '198.51.100.7')
  await app.passMinute()
  const count = async (disposition: string) => (await get(`reports?disposition=${disposition}`)).body.items.length
  const all = { filter: { service: 'imessage' }, reason: 'Try' }
  t.match((await post('moderation/actions', { action: 'exclude', ...all })).body, { matched: 5, changed: 5, windows: { before: { down: 3 }, after: { down: 0 } } })
  const again = (await post('moderation/actions', { action: 'exclude', ...all })).body
  t.match(again, { matched: 5, changed: 0 })
  t.match((await post('moderation/actions', { action: 'release', ...all })).body, { matched: 5, changed: 0 }, 'what is excluded is not released')
  t.match((await post('moderation/actions', { action: 'restore', ...all })).body, { matched: 5, changed: 5, windows: { before: { down: 0 }, after: { down: 3 } } })
  t.strictSame([await count('counted'), await count('quarantined')], [3, 2])
  const { body: released } = await post('moderation/actions', { action: 'release', ...all })
  t.match(released, { matched: 5, changed: 2, windows: { after: { down: 5 } } })
  t.equal(await count('quarantined'), 0)
  const references = (await get('reports')).body.items.map(({ service, interval_at: at, id }: Record<string, string>) => ({ service, interval_at: at, id }))
  const { body: some } = await post('moderation/actions', { action: 'exclude', reports: references.slice(0, 2), reason: 'Two' })
  t.match(some, { matched: 2, changed: 2, windows: { after: { down: 3 } } })
  const taken = new Set(references.slice(0, 2).map(({ id }: { id: string }) => id))
  t.match((await app.database.query<{ id: string }>('select id from reports where disposition = 2')).map(({ id }) => taken.has(id)), [true, true])
  const refused = await post(`moderation/actions/${released.id}/revert`)
  if (refused.status !== 200) problem(t, refused, 'conflict')
})

t.test('reverting out of order is refused where it would not undo exactly', async t => {
  const { app, post } = await open(t)
  await crowd(app, 1, 3)
  const all = { filter: { service: 'imessage' }, reason: 'Try' }
  const { body: first } = await post('moderation/actions', { action: 'exclude', ...all })
  const { body: second } = await post('moderation/actions', { action: 'restore', ...all })
  const refused = await post(`moderation/actions/${first.id}/revert`)
  problem(t, refused, 'conflict')
  t.match(refused.body.detail, second.id)
  t.equal((await post(`moderation/actions/${second.id}/revert`)).status, 200)
  t.equal((await post(`moderation/actions/${first.id}/revert`)).status, 200)
  t.match(await app.database.query('select disposition from reports'), [{ disposition: 0 }, { disposition: 0 }, { disposition: 0 }])
})

t.test('an outage open at the action is the same again when minutes were judged before its undoing', async t => {
  const { app, post } = await open(t)
  await crowd(app, 4, 8)
  const [outage] = await app.database.query<{ id: string }>('select id from outages')
  const { body: { id } } = await post('moderation/actions', { action: 'exclude', filter: { service: 'imessage' }, reason: 'Try' })
  await crowd(app, 4, 9)
  await app.passMinute()
  const between = await app.database.query<{ id: string, state: string }>('select id, state from outages order by detected_at')
  t.equal(between.length, 2, 'another was found meanwhile')
  t.equal((await post(`moderation/actions/${id}/revert`)).status, 200)
  await app.jobs.tick()
  t.strictSame(await app.database.query('select id, state from outages order by detected_at'),
    [{ id: outage!.id, state: 'confirmed' }, { id: between[1]!.id, state: 'dismissed' }])
})

t.test('what does not say what it means is refused, and changes nothing', async t => {
  const { app, post, get } = await open(t)
  await crowd(app, 1, 2)
  const before = await dump(app)
  const filter = { service: 'imessage' }
  const refusals: [object, string, string[]][] = [
    [{ action: 'exclude', filter }, 'invalid', ['/reason']],
    [{ action: 'delete', filter, reason: 'x' }, 'invalid', ['/action']],
    [{ action: 'exclude', reason: 'x' }, 'invalid', ['/filter']],
    [{ action: 'exclude', filter, reports: [{ service: 'imessage', interval_at: '2012-11-18T12:00:00Z', id: '0192a1b2-0000-7000-8000-000000000000' }], reason: 'x' }, 'invalid', ['/filter']],
    [{ action: 'exclude', filter: {}, reason: 'x' }, 'invalid', ['/filter']],
    [{ action: 'exclude', filter: { service: 'nope' }, reason: 'x' }, 'invalid', ['/filter/service']],
    [{ action: 'exclude', filter: { network: '192.0.2.0/24' }, reason: 'x' }, 'invalid', ['/filter/network']],
    [{ action: 'exclude', filter: { ...filter, ip: '1' }, reason: 'x' }, 'malformed', ['/filter/ip']],
    [{ action: 'exclude', filter, reason: ' ' }, 'invalid', ['/reason']],
    [{ action: 'exclude', reports: [], reason: 'x' }, 'invalid', ['/reports']],
    [{ action: 'exclude', reports: [{ service: 'nope', interval_at: '2012-11-18T12:00:00Z', id: '0192a1b2-0000-7000-8000-000000000000' }], reason: 'x' }, 'invalid', ['/reports/0/service']],
    [{ action: 'exclude', reports: [{ service: 'imessage', interval_at: '2012-11-18T12:01:00Z', id: 'x' }], reason: 'x' }, 'invalid', ['/reports/0/interval_at', '/reports/0/id']],
    [{ action: 'exclude', filter, reason: 'x', until: 'now' }, 'invalid', ['/until']]
  ]
  for (const [body, name, pointers] of refusals) problem(t, await post('moderation/actions', body), name, pointers)
  problem(t, await get('moderation/actions/0192a1b2-0000-7000-8000-000000000000'), 'not-found')
  problem(t, await post('moderation/actions/nope/revert'), 'not-found')
  t.match((await post('moderation/actions', { action: 'exclude', filter: { ...filter, to: new Date(START.getTime() - DAY_MS).toISOString() }, reason: 'x' })).body, { matched: 0, changed: 0 })
  t.strictSame(await dump(app), before)
})

t.test('an action waits for those who write to the audit log meanwhile, however many there are, and is not refused', async t => {
  const { app, post } = await open(t)
  await crowd(app, 2, 3)
  const other = new pg.Client(app.owner)
  await other.connect()
  t.teardown(() => other.end())
  const isWaiting = async () => (await app.asOwner("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")).length > 0
  for (const [path, body, status] of [['actions', { action: 'exclude', reason: 'a brigade', filter: { service: 'imessage' } }, 201], ['revert', {}, 200]] as const) {
    const { items: [last] } = (await app.ask('/v1/admin/moderation/actions', { headers: { authorization: `Bearer ${await app.token(['moderate'])}` } })).body
    const told = { answered: false }
    let acting: ReturnType<typeof post> | undefined
    for (let round = 0; round < 10 && !told.answered; round++) {
      await other.query('begin')
      await other.query('update audit_head set number = number')
      acting ??= post(path === 'actions' ? 'moderation/actions' : `moderation/actions/${last.id}/revert`, body).finally(() => { told.answered = true })
      while (!told.answered && !await isWaiting());
      await other.query('commit')
    }
    t.equal((await acting!).status, status, path)
  }
})
