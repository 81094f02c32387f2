import t from 'tap'
import { MINUTE_MS } from '../../src/core/time.ts'
import { transact } from '../../src/db/client.ts'
import { requestRejudge } from '../../src/db/detector.ts'
import { insertRuling } from '../../src/db/rulings.ts'
import { readCatalog } from '../../src/db/services.ts'
import { detect, loadJudging } from '../../src/jobs/detect.ts'
import { previewRerun } from '../../src/jobs/rerun.ts'
import { addressOf, openTestApp, type TestApp } from '../app.ts'
import { createDatabase, interrupt } from '../database.ts'

const START = new Date('2012-11-18T12:00:00Z')
/** Everything is kept. */
const EVER = 0
type Tap = Parameters<typeof openTestApp>[0]

let people = 0
/** So many say in each of some minutes that it fails, all from networks of their own; then it is judged. */
async function crowd (app: TestApp, minutes: number, each: number): Promise<void> {
  for (let minute = 0; minute < minutes; minute++) {
    await Promise.all(Array.from({ length: each }, () => app.report({ service: 'imessage', verdict: 'down', device_class: 'mac' }, addressOf(people++))))
    await app.passMinute()
  }
}

async function quiet (app: TestApp, minutes: number): Promise<void> {
  for (let minute = 0; minute < minutes; minute++) await app.passMinute()
}

const TABLES = ['windows', 'outages', 'outage_events', 'baselines', 'detector_states', 'withheld']
async function dump (app: TestApp, tables = TABLES): Promise<Record<string, string[]>> {
  const dumped: Record<string, string[]> = {}
  for (const table of tables) dumped[table] = (await app.database.query<{ row: string }>(`select x::text as row from ${table} x order by 1`)).map(({ row }) => row)
  return dumped
}

const readOutages = (app: TestApp) => app.database.query<{ id: string, state: string, confirmed_at: Date | null, withdrawn: boolean }>(
  'select id, state, confirmed_at, withdrawn from outages order by detected_at')

/** Gives all reports another disposition, as a moderator would, and asks for them to be judged again. */
async function dispose (app: TestApp, disposition: number, from: Date): Promise<void> {
  await app.database.query('update reports set disposition = $1', [disposition])
  await app.database.query('insert into stale_minutes select distinct service_id, minute from reports')
  await requestRejudge(app.database, 1, app.now, from.getTime())
}

async function openApp (t: Tap, now = START): Promise<TestApp> {
  const app = await openTestApp(t, { now })
  await quiet(app, 2)
  return app
}

t.test('an outage whose reports are taken out is withdrawn, and the same again when they are put back', async t => {
  const app = await openApp(t)
  await crowd(app, 5, 8)
  await quiet(app, 2)
  const before = await dump(app)
  const [outage] = await readOutages(app)
  t.equal(outage?.state, 'confirmed')

  await dispose(app, 2, START)
  await app.jobs.tick()
  t.match(await readOutages(app), [{ id: outage!.id, state: 'dismissed', withdrawn: true }])
  const { body } = await app.ask(`/v1/outages/${outage!.id}`)
  t.match(body.timeline.at(-1), { type: 'dismissed', actor: 'moderator', text: /taken? reports out|took reports out/ })
  t.match(body.timeline, [{ type: 'suspected' }], 'what was said stays said')
  t.strictSame(await app.database.query('select 1 from rejudge'), [])

  await dispose(app, 0, START)
  await app.jobs.tick()
  const { outage_events: told, ...after } = await dump(app)
  const { outage_events: toldBefore, ...rest } = before
  t.strictSame(after, rest, 'no byte of counts, outages, baselines and states differs')
  t.equal(told!.length, toldBefore!.length + 2, 'withdrawn and told again')
  await app.passQuietly(200)
  t.match(await readOutages(app), [{ id: outage!.id, state: 'resolved' }], 'and it goes on as it would have')
})

t.test('judging again where nothing has changed changes nothing, with outages, gaps and too few networks behind it', async t => {
  const app = await openApp(t)
  await crowd(app, 3, 8)
  app.now = new Date(app.now.getTime() + 7 * MINUTE_MS)
  // Six networks with three voices each: enough reports, too few networks.
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 18; i++) await app.report({ service: 'facetime', verdict: 'down', reporter: `one-${i}` }, addressOf(i % 6))
    await quiet(app, 15)
  }
  await quiet(app, 90)
  await crowd(app, 2, 12)
  await quiet(app, 5)
  const before = await dump(app)
  t.ok(before['withheld']!.length > 0)
  for (const service of [1, 2]) await requestRejudge(app.database, service, app.now, START.getTime())
  await app.jobs.tick()
  t.strictSame(await app.database.query('select 1 from rejudge'), [])
  t.strictSame(await dump(app), before)
})

t.test('the timeline ends with how it stands, however often a moderator decides within a minute, and whatever is noted', async t => {
  const app = await openApp(t)
  const headers = { authorization: `Bearer ${await app.token(['moderate'])}` }
  const act = async (path: string, payload: object) => {
    const { status, body, text } = await app.ask(`/v1/admin/${path}`, { method: 'POST', headers, payload: { reason: 'a test', ...payload } })
    t.ok(status < 300, text)
    return body
  }
  await crowd(app, 5, 8)
  const [outage] = await readOutages(app)
  const timeline = async () => (await app.ask(`/v1/outages/${outage!.id}`)).body.timeline
  const exclude = { action: 'exclude', filter: { service: 'imessage' } }
  // The real clock is ahead of what is judged.
  app.now = new Date(app.now.getTime() + 38_000)
  await act(`outages/${outage!.id}/annotate`, {})
  const { id } = await act('moderation/actions', exclude)
  await app.jobs.tick()
  await act(`moderation/actions/${id}/revert`, {})
  t.match((await timeline()).at(-1), { type: 'updated', state: 'confirmed' })
  await app.jobs.tick()
  await act('moderation/actions', exclude)
  await app.jobs.tick()
  t.match((await timeline()).at(-1), { type: 'dismissed', state: 'dismissed' })
  await act(`outages/${outage!.id}/annotate`, {})
  await app.passQuietly(3)
  const { body: { points } } = await app.ask('/v1/services/imessage/curve?window=1m')
  t.not(points.at(-1).state, 'outage', 'nor does the curve show it')

  await crowd(app, 6, 30)
  const again = (await readOutages(app)).at(-1)!
  t.not(again.id, outage!.id)
  const { id: second } = await act('moderation/actions', exclude)
  await app.jobs.tick()
  await act(`moderation/actions/${second}/revert`, {})
  await app.jobs.tick()
  await act(`outages/${again.id}/dismiss`, {})
  const { body: { timeline: told } } = await app.ask(`/v1/outages/${again.id}`)
  t.match(told.slice(-3), [{ state: 'dismissed' }, { type: 'updated' }, { type: 'dismissed', actor: 'moderator' }])
})

t.test('a preview says what comes of it, and does nothing', async t => {
  const app = await openApp(t)
  await crowd(app, 4, 8)
  await quiet(app, 2)
  const [outage] = await readOutages(app)
  const before = await dump(app)
  await transact(app.database, async tx => {
    await tx.query("update windows set seen_down = 0, down = 0 where service_id = 1 and device_class = 'mac'")
    const { before: told, after } = await previewRerun(tx, (await readCatalog(tx)).services.get('imessage')!, START.getTime(), EVER)
    t.match(told, [{ id: outage!.id, state: 'confirmed' }])
    t.match(after, [{ id: outage!.id, state: 'dismissed', withdrawn: true }])
    t.strictSame(await tx.query('select state from outages'), [{ state: 'confirmed' }])
    throw new Error('only a preview')
  }).catch((error: Error) => { if (error.message !== 'only a preview') throw error })
  t.strictSame(await dump(app), before)
})

/** A word on the open outage, and what it makes of the row. */
async function speak (app: TestApp, type: 'confirm' | 'resolve' | 'dismiss'): Promise<string> {
  const [outage] = await app.database.query<{ id: string }>("select id from outages where state in ('suspected', 'confirmed', 'recovering')")
  const [state, column] = { confirm: ['confirmed', 'confirmed_at'], resolve: ['resolved', 'resolved_at'], dismiss: ['dismissed', 'dismissed_at'] }[type] as [string, string]
  await transact(app.database, async tx => {
    const at = await insertRuling(tx, { serviceId: 1, outageId: outage!.id, type, scope: null, onsetAt: null })
    await tx.query(`update outages set state = '${state}', ${column} = $2 where id = $1`, [outage!.id, new Date(at).toISOString()])
  })
  return outage!.id
}

t.test('a dismissal spends the evidence: the same reports alarm no more, and a new crowd does', async t => {
  const app = await openApp(t)
  await crowd(app, 4, 8)
  await quiet(app, 1)
  const id = await speak(app, 'dismiss')
  await quiet(app, 20)
  t.match(await readOutages(app), [{ id, state: 'dismissed' }])
  t.equal((await readOutages(app)).length, 1)
  await crowd(app, 4, 20)
  await quiet(app, 1)
  const [, next] = await readOutages(app)
  t.equal(next?.state, 'confirmed')
  t.not(next!.id, id)
})

t.test('words are obeyed again by a restart and by judging again: the same bytes', async t => {
  const database = await createDatabase(t, { now: START })
  const app = await openTestApp(t, { now: START, database })
  await quiet(app, 2)
  await crowd(app, 2, 8)
  await quiet(app, 1)
  const dismissed = await speak(app, 'dismiss')
  await quiet(app, 6)
  await crowd(app, 3, 12)
  await quiet(app, 1)
  const resolved = await speak(app, 'resolve')
  await quiet(app, 3)
  const opened = await transact(app.database, async tx => {
    const outageId = '0192a1b2-0000-7000-8000-000000000001'
    const scope = { region: 'CA', deviceClass: 'mac' }
    const at = new Date(await insertRuling(tx, { serviceId: 1, outageId, type: 'open', scope, onsetAt: START.getTime() }))
    await tx.query(`insert into outages (service_id, id, region, device_class, state, severity, onset_at, onset_from, onset_to, detected_at, confirmed_at,
      peak_start, peak_down, peak_expected, device_impact, retrospective)
      values (1, $1, 'CA', 'mac', 'confirmed', 1, $2, $2, $2, $3, $3, $3, 0, 0, '[]', false)`, [outageId, START.toISOString(), at.toISOString()])
    return outageId
  })
  await quiet(app, 4)
  t.match(await readOutages(app), [{ id: dismissed, state: 'dismissed' }, { id: resolved, state: 'resolved' }, { id: opened, state: 'confirmed' }])

  // Judging in memory has passed the words; one that begins now reads them.
  const live = await loadJudging(app.database)
  t.equal(live.openOutages.get(1), opened)
  t.equal(live.states.get(1)!.outage?.key, 'CA|mac')
  const before = await dump(app)
  await requestRejudge(app.database, 1, app.now, START.getTime())
  await app.jobs.tick()
  const { outages: rows, ...rest } = await dump(app)
  const { outages: rowsBefore, ...restBefore } = before
  t.strictSame(rest, restBefore)
  t.strictSame(rows, rowsBefore)
  t.strictSame((await loadJudging(app.database)).states.get(1), live.states.get(1))
})

t.test('a confirmed word outlives what the reports say, and ends as a resolution', async t => {
  const app = await openApp(t)
  for (let minute = 0; minute < 30 && (await readOutages(app)).length === 0; minute++) await crowd(app, 1, 3)
  const [outage] = await readOutages(app)
  t.equal(outage?.state, 'suspected')
  await speak(app, 'confirm')
  await app.passQuietly(200)
  t.match(await readOutages(app), [{ id: outage!.id, state: 'resolved' }])
})

t.test('a word spoken while a minute is judged is not passed over', async t => {
  const app = await openApp(t)
  await crowd(app, 3, 8)
  await quiet(app, 1)
  const judging = await loadJudging(app.database)
  const services = [...(await readCatalog(app.database)).services.values()]
  // Judged in memory without the word, as if it came right before the transaction.
  const late = detect(interrupt(app.database, () => speak(app, 'dismiss')), judging, services, judging.judgedUntil + MINUTE_MS)
  t.equal(await late, false)
  await quiet(app, 1)
  t.match(await readOutages(app), [{ state: 'dismissed' }])
})

t.test('what a moderator expects of a service counts from the next hour, after a restart as well', async t => {
  const app = await openApp(t)
  await app.database.query('update services set expected_per_hour = 600 where id = 1')
  await app.passQuietly(65)
  const { states } = await loadJudging(app.database)
  t.equal(states.get(1)!.expectedPerHour, 600)
  t.equal(states.get(1)!.expectedThisHour, 600)
  const [row] = await app.database.query<{ m: number }>("select (scopes #>> '{*|*,m,0}')::float as m from baselines where service_id = 1 order by hour desc limit 1")
  t.ok(row!.m > 1, `${row!.m} a minute are expected`)
})
