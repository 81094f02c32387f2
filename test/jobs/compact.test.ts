import fc from 'fast-check'
import t, { type Test } from 'tap'
import { compactedBefore, expectationsOf, sumExpectation } from '../../src/core/curves.ts'
import type { NewReport } from '../../src/core/reports.ts'
import { DAY_MS, floorTo, HOUR_MS, MINUTE_MS } from '../../src/core/time.ts'
import { readBaselines, upsertBaselines } from '../../src/db/baselines.ts'
import { openDatabase, type Database } from '../../src/db/client.ts'
import { insertWithheld, readWithheld } from '../../src/db/detector.ts'
import { insertReports } from '../../src/db/reports.ts'
import { countWatched, markWatched, readServiceWatched, readWatched } from '../../src/db/watched.ts'
import { readDivided, readTallies, readWithin } from '../../src/db/windows.ts'
import { compact } from '../../src/jobs/compact.ts'
import { rollup } from '../../src/jobs/rollup.ts'
import { openTestApp } from '../app.ts'
import { createDatabase, type TestDatabase } from '../database.ts'
import { eventually } from '../flow/processes.ts'

/** Where judging stands. */
const JUDGED = Date.parse('2026-06-15T12:34:00Z')
const MINUTES_BEFORE = compactedBefore('1m', JUDGED)
const HOURS_BEFORE = compactedBefore('1h', JUDGED)
const iso = (at: number) => new Date(at).toISOString()

const openOn = (t: Pick<Test, 'teardown'>, { service }: TestDatabase): Database => {
  const database = openDatabase(service, { onError: () => {}, answerTimeoutMs: 0 })
  t.teardown(() => database.close())
  return database
}
const open = async (t: Test) => openOn(t, await createDatabase(t))
const drain = async (database: Database) => { while (await compact(database, JUDGED)); }

interface Cell { serviceId: number, at: number, region: string, deviceClass: string, counts: number[] }
const near = (edge: number) => fc.integer({ min: -3 * 24 * 60, max: 3 * 24 * 60 }).map(minutes => edge + minutes * MINUTE_MS)
const anyCell: fc.Arbitrary<Cell> = fc.record({
  serviceId: fc.integer({ min: 1, max: 2 }),
  at: fc.oneof(near(MINUTES_BEFORE), near(HOURS_BEFORE), fc.integer({ min: 0, max: 900 * 24 * 60 }).map(ago => floorTo(JUDGED, MINUTE_MS) - ago * MINUTE_MS)),
  region: fc.constantFrom('ZZ', 'CA', 'CA-ON', 'CA-QC', 'US-NY'),
  deviceClass: fc.constantFrom('unknown', 'iphone', 'mac'),
  counts: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 6, maxLength: 6 })
})
const anyCells = fc.array(anyCell, { minLength: 20, maxLength: 120 })

async function insertCells (database: Database, cells: readonly Cell[]): Promise<void> {
  for (const { serviceId, at, region, deviceClass, counts } of cells) {
    await database.query(`insert into windows (service_id, minute, region, device_class, working, degraded, down, seen_working, seen_degraded, seen_down)
      values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing`, [serviceId, iso(at), region, deviceClass, ...counts])
  }
}

/** Everything that curves and breakdowns can tell: in each width as far back as it is shown, whole and by each partition. */
async function tell (database: Database): Promise<unknown[]> {
  const told: unknown[] = []
  const end = floorTo(JUDGED, DAY_MS) + DAY_MS
  const scopes = [['*', '*'], ['CA', '*'], ['CA-ON', '*'], ['*', 'mac'], ['CA', 'iphone']].map(([region, deviceClass]) => ({ region: region!, deviceClass: deviceClass! }))
  for (const serviceId of [1, 2]) {
    for (const scope of scopes) {
      for (const [widthMs, from] of [[MINUTE_MS, JUDGED - 35 * DAY_MS], [15 * MINUTE_MS, floorTo(JUDGED - 35 * DAY_MS, 15 * MINUTE_MS)],
        [HOUR_MS, floorTo(JUDGED - 732 * DAY_MS, HOUR_MS)], [DAY_MS, end - 1_000 * DAY_MS]] as const) {
        told.push(await readTallies(database, serviceId, scope, from, end, widthMs))
      }
    }
    for (const from of [end - 1_000 * DAY_MS, HOURS_BEFORE - DAY_MS, HOURS_BEFORE, MINUTES_BEFORE - 5 * HOUR_MS, MINUTES_BEFORE]) {
      for (const [by, region] of [['country', '*'], ['subdivision', 'CA'], ['device_class', '*'], ['device_class', 'US']] as const) {
        const scope = { region, deviceClass: '*' }
        const cells = await readDivided(database, serviceId, by, scope, from, end)
        // Two parts of each key's own: up to and from noon of the day before minutes are made hours, an hour apart.
        const noon = MINUTES_BEFORE - DAY_MS / 2
        const parts = new Map(cells.map(({ key }) => [key, [{ from: Math.min(from, noon), to: noon }, { from: noon + HOUR_MS, to: end }]]))
        told.push(cells, [...await readWithin(database, serviceId, by, scope, parts)].sort())
      }
    }
  }
  told.push(await database.query(`select service_id, region, device_class, sum(seen_working), sum(seen_degraded), sum(seen_down) from (
      select * from windows where minute >= (select hours_until from compacted)
      union all select * from windows_1h where hour >= (select days_until from compacted) and hour < (select hours_until from compacted)
      union all select * from windows_1d) x
    group by 1, 2, 3 having sum(seen_working + seen_degraded + seen_down) > 0 order by 1, 2, 3`))
  return told
}

async function empty (database: Database): Promise<void> {
  for (const table of ['windows', 'windows_1h', 'windows_1d']) await database.query(`delete from ${table}`)
  await database.query("update compacted set minutes_from = '-infinity', hours_from = '-infinity', days_until = '-infinity', hours_until = '-infinity'")
}

const readTables = (database: Database) => Promise.all(['windows', 'windows_1h', 'windows_1d', 'compacted', 'watched_stretches', 'baselines_1h', 'baselines_1d']
  .map(table => database.query(`select x.*::text from ${table} x order by 1`)))

t.test('every grain and every partition adds up to the same before, between and after', async t => {
  const database = await open(t)
  await fc.assert(fc.asyncProperty(anyCells, async cells => {
    await empty(database)
    await insertCells(database, cells)
    const before = await tell(database)
    for (let call = 0, more = true; more; call++) {
      more = await compact(database, JUDGED)
      if (call % 5 === 0 || !more) t.strictSame(await tell(database), before)
    }
    const [counts] = await database.query('select (select count(*)::int from windows where minute < $1) as minutes, (select count(*)::int from windows_1h where hour < $2) as hours',
      [iso(MINUTES_BEFORE), iso(HOURS_BEFORE)])
    t.strictSame(counts, { minutes: 0, hours: 0 }, 'what is past its time is gone')
  }), { numRuns: 4, seed: 35 })
  const [kept] = await database.query('select (select count(*) > 0 from windows) and (select count(*) > 0 from windows_1h) and (select count(*) > 0 from windows_1d) as all')
  t.ok(kept!['all'], 'there was something of each')
})

t.test('again it changes nothing, and two at once do what one does', async t => {
  const cells = fc.sample(anyCells, { numRuns: 2, seed: 7 }).flat()
  const [alone, both] = [await open(t), await createDatabase(t)]
  const [one, other] = [openOn(t, both), openOn(t, both)]
  for (const database of [alone, one]) {
    await insertCells(database, cells)
    for (const hour of [0, 1, 30]) await markWatched(database, MINUTES_BEFORE - 40 * HOUR_MS + hour * HOUR_MS, MINUTES_BEFORE - 40 * HOUR_MS + hour * HOUR_MS + 70 * MINUTE_MS)
    for (const ago of [40, 800]) await upsertBaselines(database, [1, 2].map(serviceId => ({ serviceId, expectation: expectation(floorTo(JUDGED, HOUR_MS) - ago * DAY_MS) })))
  }
  await drain(alone)
  const tables = await readTables(alone)
  t.equal(await compact(alone, JUDGED), false, 'nothing is left to do')
  t.strictSame(await readTables(alone), tables)
  await Promise.all([drain(one), drain(other)])
  t.strictSame(await readTables(one), tables)
})

t.test('who is killed in the middle has done nothing', async t => {
  const there = await createDatabase(t)
  const [database, holder] = [openOn(t, there), openOn(t, there)]
  await insertCells(database, fc.sample(anyCells, { numRuns: 1, seed: 3 })[0]!)
  const count = async () => (await database.query('select count(*)::int as n, min(minute) as oldest from windows'))[0]
  const before = await count()
  const told = await tell(database)
  const client = await holder.pool.connect()
  await client.query('begin')
  // The last step, the delete, has to wait for this.
  await client.query('select from windows order by minute limit 1 for update')
  const moving = t.rejects(compact(database, JUDGED), 'it was cut off')
  await eventually(async () => {
    const { rows } = await client.query("select pg_terminate_backend(pid) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")
    return rows.length > 0 || undefined
  }, 'the delete waits')
  await moving
  await client.query('rollback')
  client.release()
  t.strictSame(await count(), before)
  t.strictSame(await tell(database), told)
  await drain(database)
  t.strictSame(await tell(database), told)
})

t.test('a minute whose reports may still be counted again stays one', async t => {
  const there = await createDatabase(t)
  const database = openOn(t, there)
  const at = MINUTES_BEFORE - 5 * DAY_MS
  await insertCells(database, [{ serviceId: 1, at, region: 'CA', deviceClass: 'mac', counts: [1, 0, 2, 1, 0, 2] }])
  await database.query('select ensure_days($1, $2, $2)', ['reports', iso(at).slice(0, 10)])
  await database.query(`insert into reports (service_id, interval_at, id, minute, region, device_class, verdict, disposition, late)
    values (2, $1, '018f0000-0000-8000-8000-000000000000', $1, 'CA', 'mac', 2, 1, false)`, [iso(floorTo(at, 15 * MINUTE_MS))])
  const minutes = async () => (await database.query('select from windows')).length
  await drain(database)
  t.equal(await minutes(), 1, 'a raw report of its hour is kept')
  await database.query('select drop_days($1, $2)', ['reports', iso(MINUTES_BEFORE).slice(0, 10)])
  await database.query('insert into stale_minutes (service_id, minute) values (1, $1)', [iso(at)])
  await drain(database)
  t.equal(await minutes(), 1, 'it is stale')
  await database.query('delete from stale_minutes')
  await drain(database)
  t.equal(await minutes(), 0)
})

t.test('the oldest report that an import may bring comes to a minute that is kept, and is in the curve', async t => {
  const app = await openTestApp(t, { now: new Date('2026-06-15T12:34:30Z'), retentionDays: 35 })
  const line = (ago: number) => JSON.stringify({ service: 'github', verdict: 'down', reporter: `${ago}`, observed_at: iso(app.now.getTime() - ago) })
  const { body } = await app.ask('/v1/reports/batch', {
    method: 'POST',
    headers: { authorization: `Bearer ${await app.token()}`, 'content-type': 'application/x-ndjson' },
    payload: [line(35 * DAY_MS - 2 * MINUTE_MS), line(35 * DAY_MS + MINUTE_MS), line(37 * DAY_MS)].join('\n')
  })
  t.match(body, { counted: 1, refused: 2 })
  await app.jobs.tick()
  await app.jobs.tick()
  t.strictSame(await app.database.query('select down from windows'), [{ down: 1 }])
  const { body: { points } } = await app.ask(`/v1/services/github/curve?window=1h&from=${iso(app.now.getTime() - 36 * DAY_MS)}`)
  t.equal(points.reduce((sum: number, { down }: { down: number }) => sum + down, 0), 1)
})

t.test('property: what comes late, and what a moderator changes, is in every grain, copied or not', async t => {
  const database = await open(t)
  await database.query('select ensure_days($1, $2, $3)', ['reports', iso(JUDGED - 31 * DAY_MS).slice(0, 10), iso(JUDGED).slice(0, 10)])
  const anyReport: fc.Arbitrary<NewReport> = fc.record({
    serviceId: fc.integer({ min: 1, max: 2 }),
    id: fc.uuid({ version: 8 }),
    minute: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 30 * 24 * 60 })).map(ago => JUDGED - ago * MINUTE_MS),
    region: fc.constantFrom('CA', 'CA-ON'),
    deviceClass: fc.constantFrom('iphone', 'mac'),
    verdict: fc.integer({ min: 0, max: 2 }),
    disposition: fc.constant(0),
    history: fc.boolean()
  }).map(report => ({ ...report, intervalAt: floorTo(report.minute, 15 * MINUTE_MS), symptom: null, impact: null, network: null, reason: null, comment: null }))
  const counted = (table: string, start: string) => `select service_id, date_bin('1 ${start}', minute, '1970-01-01T00:00:00Z') as ${start}, region, device_class,
      sum(working)::int as working, sum(degraded)::int as degraded, sum(down)::int as down, sum(seen_working)::int as seen_working, sum(seen_degraded)::int as seen_degraded, sum(seen_down)::int as seen_down
    from windows where minute < (select ${table === 'windows_1h' ? 'hours_until' : 'days_until'} from compacted) group by 1, 2, 3, 4 order by 1, 2, 3, 4`
  await fc.assert(fc.asyncProperty(fc.array(anyReport, { minLength: 5, maxLength: 40 }), fc.array(anyReport, { minLength: 1, maxLength: 10 }), async (first, late) => {
    await insertReports(database, first, 1, new Date(JUDGED))
    await rollup(database)
    await drain(database)
    await insertReports(database, late, 1, new Date(JUDGED))
    const [excluded] = await database.query<{ service_id: number, minute: Date }>('update reports set disposition = 2 where id = $1 returning service_id, minute', [first[0]!.id])
    await database.query('insert into stale_minutes (service_id, minute) values ($1, $2)', [excluded!.service_id, excluded!.minute])
    await rollup(database)
    for (const [table, start] of [['windows_1h', 'hour'], ['windows_1d', 'day']] as const) {
      t.strictSame(await database.query(`select * from ${table} order by 1, 2, 3, 4`), await database.query(counted(table, start)), table)
    }
    for (const serviceId of [1, 2]) {
      const [{ n }] = await database.query('select count(*)::int as n from reports where disposition = 0 and service_id = $1', [serviceId]) as [{ n: number }]
      for (const widthMs of [MINUTE_MS, HOUR_MS, DAY_MS]) {
        const tallies = await readTallies(database, serviceId, { region: '*', deviceClass: '*' }, floorTo(JUDGED, DAY_MS) - 40 * DAY_MS, JUDGED + DAY_MS, widthMs)
        t.equal(tallies.reduce((sum, { working, degraded, down }) => sum + working + degraded + down, 0), n)
      }
    }
  }), { numRuns: 6, seed: 11 })
  const [copied] = await database.query('select hours_until, days_until from compacted')
  t.strictSame(copied, { hours_until: new Date(floorTo(JUDGED, HOUR_MS) - HOUR_MS), days_until: new Date(floorTo(JUDGED, DAY_MS) - DAY_MS) })
})

t.test('a day has 24 hours also where the database\'s clocks are put back or forward in it', async t => {
  for (const changed of [Date.parse('2026-11-01T00:00:00Z'), Date.parse('2026-03-08T00:00:00Z')]) {
    const { service } = await createDatabase(t)
    const database = openDatabase({ ...service, options: '-c TimeZone=America/New_York' }, { onError: () => {}, answerTimeoutMs: 0 })
    t.teardown(() => database.close())
    await database.query('select ensure_days($1, $2, $3)', ['reports', iso(changed - DAY_MS).slice(0, 10), iso(changed + DAY_MS).slice(0, 10)])
    let count = 0
    const say = (hour: number) => {
      const minute = changed + hour * HOUR_MS
      const id = `018f0000-0000-8000-8000-${String(count++).padStart(12, '0')}`
      const where = { region: 'CA', deviceClass: 'mac', symptom: null, impact: null, network: null, comment: null }
      return insertReports(database, [{ ...where, serviceId: 1, intervalAt: minute, id, minute, verdict: 2, disposition: 0, reason: null, history: true }], 1, new Date(changed))
    }
    for (const hour of [-24, -1, 0, 12, 23, 24, 47]) await say(hour)
    await rollup(database)
    while (await compact(database, changed + 5 * DAY_MS));
    await say(12)
    await rollup(database)
    const days = await readTallies(database, 1, { region: '*', deviceClass: '*' }, changed - DAY_MS, changed + 2 * DAY_MS, DAY_MS)
    t.strictSame(days.map(({ start, down }) => [start.getTime(), down]), [[changed - DAY_MS, 2], [changed, 4], [changed + DAY_MS, 2]], iso(changed))
  }
})

t.test('gaps stay gaps, to the minute', async t => {
  const database = await open(t)
  await fc.assert(fc.asyncProperty(fc.array(fc.tuple(near(MINUTES_BEFORE), fc.integer({ min: 0, max: 600 })), { maxLength: 12 }), fc.array(fc.tuple(near(MINUTES_BEFORE), near(MINUTES_BEFORE)), { maxLength: 5 }), async (marks, ranges) => {
    await database.query('delete from watched')
    await database.query('delete from watched_stretches')
    for (const [at, length] of marks) await markWatched(database, at, at + length * MINUTE_MS)
    // Not of whole minutes: a service may be added at any second.
    const parts = ranges.map(([a, b]) => ({ from: Math.min(a, b) + 20_000, to: Math.max(a, b) + 40_000 }))
    const read = async () => [await countWatched(database, parts), await Promise.all(parts.map(({ from, to }) => readWatched(database, from, to)))]
    const before = await read()
    await drain(database)
    t.strictSame(await read(), before)
    t.strictSame(await database.query('select from watched where minute < $1', [iso(MINUTES_BEFORE)]), [])
    const [{ since, until } = { since: null, until: null }] = await database.query('select min(since) as since, max(until) as until from watched_stretches')
    t.ok(until === null || (until <= new Date(MINUTES_BEFORE) && since < until), 'stretches are of old minutes alone')
  }), { numRuns: 15, seed: 1 })
  await database.query('delete from watched')
  await database.query('delete from watched_stretches')
  for (let day = -3; day < 0; day++) {
    await markWatched(database, MINUTES_BEFORE + day * DAY_MS, MINUTES_BEFORE + (day + 1) * DAY_MS - MINUTE_MS)
    await drain(database)
  }
  t.strictSame(await database.query('select * from watched_stretches'), [{ since: new Date(MINUTES_BEFORE - 3 * DAY_MS), until: new Date(MINUTES_BEFORE) }], 'days without a gap are one stretch')
})

const expectation = (hour: number) => ({
  hour,
  learntHours: 50,
  scopes: {
    '*|*': { m: [0.5, 0.7, 1.1] as [number, number, number], upper: [1, 1.5, 2] as [number, number, number], phi: 2.5 },
    // A scope that is born and dies.
    ...(hour / HOUR_MS % 3 === 0 ? { 'CA|mac': { m: [0.01, 0.02, 0.03] as [number, number, number], upper: [0.1, 0.2, 0.3] as [number, number, number], phi: 1.2 } } : {})
  }
})

t.test('what was expected in the watched minutes of an hour or a day stays, to five digits', async t => {
  const database = await open(t)
  const starts = [MINUTES_BEFORE - 3 * DAY_MS, HOURS_BEFORE - 3 * DAY_MS]
  for (const start of starts) {
    for (let hour = 0; hour < 48; hour++) if (hour % 7 !== 5) await upsertBaselines(database, [{ serviceId: 1, expectation: expectation(start + hour * HOUR_MS) }])
    await markWatched(database, start + 20 * MINUTE_MS, start + 10.3 * HOUR_MS)
    await markWatched(database, start + 14.25 * HOUR_MS, start + 30 * HOUR_MS)
  }
  await database.query('insert into services (id, slug, name, expected_per_hour, history_from, history_to) values (1, \'one\', \'One\', 1, $1, $2)',
    [iso(starts[1]! + 10.7 * HOUR_MS), iso(starts[1]! + 12.4 * HOUR_MS)])
  const read = async () => {
    const sums: (number | null)[] = []
    for (const start of starts) {
      for (const key of ['*|*', 'CA|mac']) {
        const expectations = expectationsOf(await readBaselines(database, 1, [key], start, start + 2 * DAY_MS), key)
        const widthMs = start === starts[0] ? HOUR_MS : DAY_MS
        for (let at = start; at < start + 2 * DAY_MS; at += widthMs) {
          const { expected, upper } = sumExpectation(expectations, await readServiceWatched(database, 1, at, at + widthMs))
          sums.push(expected, upper)
        }
      }
    }
    return sums
  }
  const before = await read()
  await drain(database)
  t.ok(before.filter(sum => sum !== null).length > 60 && before.includes(null), 'some hours have one, and some none')
  for (const [index, sum] of (await read()).entries()) {
    if (sum === null || before[index] === null) t.equal(sum, before[index])
    else t.ok(Math.abs(sum / before[index]! - 1) < 1e-4, `${sum} is ${before[index]}`)
  }
  t.strictSame(await database.query(`select (select count(*)::int from baselines) as fine,
    (select count(*)::int from baselines_1h where hour < $1) as hours, (select count(*)::int from baselines_1d) as days`, [iso(HOURS_BEFORE)]),
  [{ fine: 0, hours: 0, days: 2 }])
})

t.test('withheld alarms are kept as long as minutes are', async t => {
  const database = await open(t)
  const minutes = [MINUTES_BEFORE - 3 * DAY_MS, MINUTES_BEFORE - MINUTE_MS, MINUTES_BEFORE, JUDGED - MINUTE_MS]
  await insertWithheld(database, minutes.map(minute => ({ serviceId: 1, minute, scope: '*|*', networks: 3 })))
  await drain(database)
  t.strictSame((await readWithheld(database, 0, JUDGED)).map(({ minute }) => minute), minutes.slice(2))
})

t.test('the clock does it, and no curve, breakdown or history shows that it was done', async t => {
  const app = await openTestApp(t, { now: new Date('2026-06-15T12:34:30Z') })
  const start = app.now.getTime() - 40 * DAY_MS
  const [github] = await app.database.query<{ id: number }>("select id from services where slug = 'github'")
  await app.asOwner(`update services set live_since = '${iso(start)}'`)
  // As an upgrade finds it.
  await empty(app.database)
  for (let hour = 0; hour < 120; hour += 7) {
    await markWatched(app.database, floorTo(start, MINUTE_MS) + hour * HOUR_MS, floorTo(start, MINUTE_MS) + (hour + 3) * HOUR_MS)
    await insertCells(app.database, [{ serviceId: github!.id, at: floorTo(start, MINUTE_MS) + hour * HOUR_MS, region: 'CA-ON', deviceClass: 'mac', counts: [1, 2, 3, 1, 2, 3] }])
  }
  const read = () => Promise.all(['curve?window=1h&', 'curve?window=1d&region=CA&', 'breakdown?by=region&', 'breakdown?by=device_class&region=CA&', 'history?'].map(async what =>
    (await app.ask(`/v1/services/github/${what}from=${iso(start)}&to=${iso(start + 39 * DAY_MS)}`)).body))
  const before = await read()
  t.equal(before[0].points.filter(({ gap }: { gap: boolean }) => gap).length > 100, true, 'there are gaps')
  t.equal(before[2].from, iso(floorTo(start, HOUR_MS)).replace('.000', ''), 'older than minutes are, a range is of whole hours')
  app.now = new Date(app.now.getTime() + HOUR_MS)
  for (let tick = 0; tick < 4; tick++) await app.jobs.tick()
  const [{ hours, minutes }] = await app.database.query('select (select count(*)::int from windows_1h) as hours, (select count(*)::int from windows) as minutes') as [{ hours: number, minutes: number }]
  t.ok(hours > minutes && minutes > 1, 'some are hours alone, and some are too young')
  t.strictSame(await read(), before)
})
