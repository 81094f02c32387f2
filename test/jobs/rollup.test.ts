import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { NewReport } from '../../src/core/reports.ts'
import { INTERVAL_MS } from '../../src/core/reports.ts'
import { floorTo, MINUTE_MS } from '../../src/core/time.ts'
import { openDatabase, type Database } from '../../src/db/client.ts'
import { insertReports } from '../../src/db/reports.ts'
import { prune } from '../../src/jobs/prune.ts'
import { openPastRollup, rollup } from '../../src/jobs/rollup.ts'
import { createDatabase } from '../database.ts'

const NOW = new Date('2026-01-10T12:00:30Z')

const open = async (t: Test): Promise<Database> => {
  const { connection } = await createDatabase(t)
  const database = openDatabase(connection, { onError: () => {}, answerTimeoutMs: 0 })
  t.teardown(() => database.close())
  await prune(database, 30, NOW)
  return database
}

const anyReport: fc.Arbitrary<NewReport> = fc.record({
  serviceId: fc.integer({ min: 1, max: 3 }),
  id: fc.uuid({ version: 8 }),
  minute: fc.integer({ min: 0, max: 5 * 24 * 60 }).map(ago => floorTo(NOW.getTime(), MINUTE_MS) - ago * MINUTE_MS),
  region: fc.constantFrom('ZZ', 'CA', 'CA-ON', 'US-NY'),
  deviceClass: fc.constantFrom('unknown', 'iphone', 'mac'),
  verdict: fc.integer({ min: 0, max: 2 }),
  disposition: fc.constantFrom(0, 0, 0, 1),
  history: fc.boolean()
}).map(report => ({ ...report, intervalAt: floorTo(report.minute, INTERVAL_MS), symptom: null, impact: null, network: null, reason: null, comment: null }))

/** What windows ought to hold, counted from the reports in the plainest way. */
const COUNTED = `select service_id, minute, region, device_class, count(*) filter (where verdict = 0)::int as working,
    count(*) filter (where verdict = 1)::int as degraded, count(*) filter (where verdict = 2)::int as down,
    count(*) filter (where verdict = 0 and not late)::int as seen_working, count(*) filter (where verdict = 1 and not late)::int as seen_degraded,
    count(*) filter (where verdict = 2 and not late)::int as seen_down
  from reports where disposition = 0 group by 1, 2, 3, 4 order by 1, 2, 3, 4`

t.test('windows hold what reports say, however these came, and again after a second recount', async t => {
  const database = await open(t)
  await fc.assert(fc.asyncProperty(fc.array(fc.array(anyReport, { minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 4 }), async batches => {
    for (const batch of batches) {
      const fresh = await insertReports(database, batch, 1, NOW)
      t.equal(fresh.size, new Set(batch.map(({ id }) => id)).size - batch.filter(({ id }) => !fresh.has(id)).length)
    }
    await rollup(database)
    const windows = await database.query('select * from windows order by 1, 2, 3, 4')
    t.strictSame(windows, await database.query(COUNTED))
    t.strictSame(await database.query('select * from stale_minutes'), [])
    t.equal(await rollup(database), -Infinity, 'nothing is stale')
  }), { numRuns: 15 })
})

t.test('two rollups at once and reports between them lose no mark', async t => {
  const database = await open(t)
  const reports = fc.sample(anyReport, { numRuns: 400, seed: 7 })
  const ingest = async () => {
    for (let i = 0; i < reports.length; i += 10) await insertReports(database, reports.slice(i, i + 10), 1, NOW)
  }
  const recounting = async () => {
    for (let i = 0; i < 8; i++) await rollup(database)
  }
  await Promise.all([ingest(), recounting(), recounting()])
  await rollup(database)
  t.strictSame(await database.query('select * from windows order by 1, 2, 3, 4'), await database.query(COUNTED))
})

t.test('a cell that lost all its reports goes, and its neighbours stay', async t => {
  const database = await open(t)
  const [first, second] = fc.sample(anyReport, { numRuns: 2, seed: 3 }).map((report, i) => ({
    ...report, serviceId: 1, minute: NOW.getTime() - NOW.getTime() % MINUTE_MS, intervalAt: floorTo(NOW.getTime(), INTERVAL_MS), disposition: 0, region: ['CA', 'US'][i]!
  }))
  await insertReports(database, [first!, second!], 1, NOW)
  await rollup(database)
  await database.query('update reports set disposition = 2 where id = $1', [first!.id])
  await database.query('insert into stale_minutes select service_id, minute from reports where id = $1', [first!.id])
  await rollup(database)
  t.strictSame((await database.query('select region from windows')).map(row => row['region']), ['US'])
})

t.test('stale minutes of long ago are recounted day by day, the newest first', async t => {
  const database = await open(t)
  const [report] = fc.sample(anyReport, { numRuns: 1, seed: 5 })
  for (let day = 0; day < 6; day++) {
    const minute = floorTo(NOW.getTime(), MINUTE_MS) - day * 2 * 24 * 60 * MINUTE_MS
    await insertReports(database, [{ ...report!, id: `00000000-0000-8000-8000-00000000000${day}`, disposition: 0, minute, intervalAt: floorTo(minute, INTERVAL_MS) }], 1, NOW)
  }
  t.equal(await rollup(database), -Infinity)
  t.strictSame(await database.query('select * from windows order by 1, 2, 3, 4'), await database.query(COUNTED))
})

t.test('a recount of the minute that runs does not read through its quarter of an hour', async t => {
  const { connection } = await createDatabase(t)
  const database = openDatabase(connection, { onError: () => {}, answerTimeoutMs: 0, max: 1 })
  t.teardown(() => database.close())
  await prune(database, 30, NOW)
  const interval = new Date('2026-01-10T12:00:00Z')
  await database.query(`insert into reports (service_id, interval_at, id, minute, region, device_class, verdict, disposition, late)
    select 1, $1, gen_random_uuid(), $1::timestamptz + make_interval(mins => i / 8000), 'ZZ', 'unknown', 2, 0, false
    from generate_series(0, 14 * 8000 - 1) i`, [interval])
  await database.query('analyze reports')
  await database.query("select brin_summarize_new_values('reports_20260110_minute_idx')")
  await database.query("insert into stale_minutes values (1, $1::timestamptz + interval '13 minutes'), (1, $1::timestamptz - interval '1 day')", [interval])
  const read = async () => {
    await database.query('select pg_stat_force_next_flush()')
    const [row] = await database.query('select (seq_tup_read + idx_tup_fetch)::integer as n from pg_stat_all_tables where relname = $1', ['reports_20260110'])
    return row!['n'] as number
  }
  const before = await read()
  await rollup(database)
  t.strictSame((await database.query('select down from windows')).map(row => row['down']), [8000])
  const readNow = await read() - before
  t.ok(readNow >= 8000 && readNow < 32_000, `${readNow} of 112,000 reports were read`)
})

t.test('while history is imported the present is recounted at once, and the past for a tenth of the time, a piece at once', async t => {
  const database = await open(t)
  const [report] = fc.sample(anyReport, { numRuns: 1, seed: 5 })
  const now = floorTo(NOW.getTime(), MINUTE_MS)
  const minutes = [0, 1, ...Array.from({ length: 48 }, (_, hour) => 2 * 24 * 60 + 60 * hour)].map(ago => now - ago * MINUTE_MS)
  await insertReports(database, minutes.map((minute, i) => (
    { ...report!, id: `00000000-0000-8000-8000-0000000000${i.toString(16).padStart(2, '0')}`, disposition: 0, minute, intervalAt: floorTo(minute, INTERVAL_MS) })), 1, NOW)
  const counted = async () => (await database.query('select minute from windows order by minute desc')).map(row => row['minute'].getTime())
  const liveFrom = now - 2 * MINUTE_MS

  let [at, lasts] = [0, 400]
  const past = openPastRollup(database, () => (at += lasts))
  t.equal(await rollup(database, liveFrom), minutes[2]! + MINUTE_MS, 'up to date back to what came last of before')
  t.strictSame(await counted(), minutes.slice(0, 2))
  await past(true)
  const first = (await counted()).length
  t.ok(first > 2 && first < 8, `one piece of hours, not of days: ${first - 2} of 48`)
  lasts = 50
  for (let i = 0; i < 30; i++) await past(true)
  t.equal((await counted()).length, first, 'then it rests nine times as long as that took')
  lasts = 1_000
  for (let i = 0; i < 3; i++) await past(true)
  const second = (await counted()).length
  t.ok(second > first && second < 50, 'and goes on')
  lasts = 1
  t.equal(await past(false), -Infinity, 'without an import it does not rest')
  t.strictSame(await database.query('select * from windows order by 1, 2, 3, 4'), await database.query(COUNTED))
})
