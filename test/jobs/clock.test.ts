import { pino } from 'pino'
import t from 'tap'
import { HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { openDatabase, transact, type Database } from '../../src/db/client.ts'
import { raiseGeneration } from '../../src/db/detector.ts'
import { readCatalog } from '../../src/db/services.ts'
import { pauseAfter, startJobs } from '../../src/jobs/clock.ts'
import { openDeliverer } from '../../src/jobs/deliver.ts'
import { detect, loadJudging } from '../../src/jobs/detect.ts'
import { openOutgoing } from '../../src/jobs/outgoing.ts'
import { rollup } from '../../src/jobs/rollup.ts'
import { addressOf, openTestApp } from '../app.ts'
import { interrupt } from '../database.ts'

const START = new Date('2012-11-18T12:00:00Z')
const deliverTo = (database: Database) =>
  openDeliverer({ database, call: openOutgoing({ allowPrivate: false }), now: () => new Date(), chance: () => 0, onError: () => {} })

t.test('jobs run on one instance, and move when it goes', async t => {
  const app = await openTestApp(t, { now: START })
  const database = openDatabase(app.connection, { onError: () => {}, answerTimeoutMs: 0 })
  t.teardown(() => database.close())
  const errors: unknown[] = []
  const second = startJobs({ database, deliverer: deliverTo(database), connection: app.connection, clock: { now: () => app.now, speed: 1 }, retentionDays: 30, call: openOutgoing({ allowPrivate: false }), onError: error => errors.push(error), ticking: false })
  t.teardown(() => second.stop())
  const judgedUntil = async () => (await app.database.query('select judged_until from judging'))[0]!['judged_until'].toISOString()

  app.now = new Date(START.getTime() + 3 * MINUTE_MS)
  await second.tick()
  t.equal(await judgedUntil(), '2012-11-18T12:00:00.000Z', 'the second does not lead')
  await app.jobs.tick()
  t.equal(await judgedUntil(), '2012-11-18T12:02:00.000Z')
  await app.jobs.stop()
  app.now = new Date(START.getTime() + 5 * MINUTE_MS)
  await second.tick()
  t.equal(await judgedUntil(), '2012-11-18T12:04:00.000Z', 'it leads when the first has gone')
  t.strictSame(errors, [])
})

t.test('two that judge the same minutes write them once', async t => {
  const app = await openTestApp(t, { now: START })
  await Promise.all(Array.from({ length: 40 }, (_, i) => app.report({ service: 'imessage', verdict: 'down' }, addressOf(i))))
  app.now = new Date(START.getTime() + 90_000)
  const services = [...(await readCatalog(app.database)).services.values()]
  await rollup(app.database)
  const [one, other] = [await loadJudging(app.database), await loadJudging(app.database)]
  const until = START.getTime() + MINUTE_MS
  const outcomes = await Promise.all([detect(app.database, one, services, until), detect(app.database, other, services, until)])
  t.strictSame(outcomes.sort(), [false, true])
  t.equal((await app.database.query('select * from outages')).length, 1)
  t.equal((await app.database.query("select * from outage_events where type = 'suspected'")).length, 1)
})

t.test('what is expected of an hour is written though judging was cut off right after its first minute', async t => {
  const app = await openTestApp(t, { now: START })
  const services = [...(await readCatalog(app.database)).services.values()]
  const until = START.getTime() + MINUTE_MS
  await detect(app.database, await loadJudging(app.database), services, until)
  const readAll = () => app.database.query('select service_id, hour, learnt_hours, scopes::text from baselines order by service_id, hour')
  const written = await readAll()
  t.equal(written.length, services.length)
  await app.database.query('delete from baselines where service_id > 1')
  await loadJudging(app.database)
  t.strictSame(await readAll(), written)
})

t.test('an hour\'s expectation is there when the hour before is judged, also when judging was cut off before that', async t => {
  const app = await openTestApp(t, { now: START })
  const services = [...(await readCatalog(app.database)).services.values()]
  const judging = await loadJudging(app.database)
  const read = () => app.database.query<{ service_id: number, at: number, scopes: string }>('select service_id, extract(epoch from hour)::float8 * 1000 as at, scopes::text from baselines order by hour, service_id')
  const [hour, next] = [START.getTime(), START.getTime() + HOUR_MS]
  await detect(app.database, judging, services, next - MINUTE_MS)
  t.strictSame(new Set((await read()).map(({ at }) => at)), new Set([hour]))
  await detect(app.database, judging, services, next)
  const written = await read()
  t.strictSame(written.map(({ at }) => at), [...services.map(() => hour), ...services.map(() => next)])
  await app.database.query('delete from baselines')
  const loaded = await loadJudging(app.database)
  t.strictSame(await read(), written)
  t.strictSame(loaded.states, judging.states)
  await app.database.query('update services set expected_per_hour = 600 where id = 1')
  await detect(app.database, judging, [...(await readCatalog(app.database)).services.values()], next + MINUTE_MS)
  const changed = await read()
  t.strictSame(changed.filter((row, i) => row.scopes !== written[i]!.scopes).map(({ service_id: id, at }) => [id, at]), [[1, next]])
  t.strictSame((await loadJudging(app.database)).states, judging.states, 'a restart right after an hour has turned expects the same')
})

t.test('a checkpoint that was not written, since judging was cut off before it, is folded from an older one', async t => {
  const app = await openTestApp(t, { now: START })
  await Promise.all(Array.from({ length: 20 }, (_, i) => app.report({ service: 'imessage', verdict: 'down' }, addressOf(i))))
  app.now = new Date(START.getTime() + 2 * MINUTE_MS)
  const services = [...(await readCatalog(app.database)).services.values()]
  await rollup(app.database)
  const judging = await loadJudging(app.database)
  await detect(app.database, judging, services, START.getTime() + MINUTE_MS)
  const written = await app.database.query<{ service_id: number }>('delete from detector_states where judged_until > $1 returning service_id', [START])
  t.ok(written.some(({ service_id: id }) => id === 1), 'that of iMessage is of this minute')
  const loaded = await loadJudging(app.database)
  t.ok(loaded.states.get(1)!.outage !== null, 'there is something to lose')
  t.strictSame(loaded.states, judging.states)
})

t.test('who has judged and does not know what was judged again meanwhile writes nothing more', async t => {
  const app = await openTestApp(t, { now: START })
  const services = [...(await readCatalog(app.database)).services.values()]
  const [one, other] = [await loadJudging(app.database), await loadJudging(app.database)]
  let transactions = 0
  // Another has taken the lead between what is told and what follows.
  const late = interrupt(app.database, async () => { if (++transactions === 2) await transact(app.database, raiseGeneration) })
  await t.rejects(detect(late, one, services, START.getTime() + MINUTE_MS), /Another instance has judged/)
  t.strictSame(await app.database.query('select from detector_states where judged_until > $1', [START]), [])
  t.strictSame(await app.database.query('select from baselines'), [])
  t.equal(await detect(app.database, other, services, START.getTime() + 2 * MINUTE_MS), false, 'nor does who judges further from before')
  t.equal(await detect(app.database, await loadJudging(app.database), services, START.getTime() + 2 * MINUTE_MS), true)
})

t.test('a job that fails is told and does not end the others', async t => {
  const app = await openTestApp(t, { now: START })
  const failed: string[] = []
  await app.jobs.stop()
  const database = openDatabase(app.connection, { onError: () => {}, answerTimeoutMs: 0 })
  t.teardown(() => database.close())
  const jobs = startJobs({ database, deliverer: deliverTo(database), connection: app.connection, clock: { now: () => app.now, speed: 1 }, retentionDays: 30, call: openOutgoing({ allowPrivate: false }), onError: (_, job) => failed.push(job), ticking: false })
  t.teardown(() => jobs.stop())
  await app.asOwner('alter table windows rename to elsewhere')
  await app.report({ service: 'imessage', verdict: 'down' })
  app.now = new Date(START.getTime() + 2 * MINUTE_MS)
  await jobs.tick()
  t.strictSame(failed, ['lead'])
  await app.asOwner('alter table elsewhere rename to windows')
  await jobs.tick()
  t.strictSame(failed, ['lead'])
  t.equal((await app.database.query('select * from windows')).length, 1)
})

t.test('on a fast clock a mark covers the minutes since the last', async t => {
  let now = START
  const app = await openTestApp(t, { clock: { now: () => now, speed: 60 }, logger: pino({ level: 'silent' }) })
  now = new Date(START.getTime() + 4 * MINUTE_MS)
  await app.jobs.tick()
  now = new Date(START.getTime() + 20 * MINUTE_MS)
  await app.jobs.tick()
  const minutes = (await app.database.query('select minute from watched order by 1')).map(row => (row['minute'].getTime() - START.getTime()) / MINUTE_MS)
  t.strictSame(minutes, [0, 1, 2, 3, 4, 20], 'but not a stretch longer than five real seconds')
})

t.test('a tick waits a second for the next, and a long one until it was a tenth of the time, but never 3 s', async t => {
  t.strictSame([0, 100, 200, 250, 60_000].map(pauseAfter), [1_000, 1_000, 1_800, 2_250, 2_500])
})
