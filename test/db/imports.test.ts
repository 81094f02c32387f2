import t from 'tap'
import { INTERVAL_MS, uuid8, type NewReport } from '../../src/core/reports.ts'
import { floorTo, MINUTE_MS } from '../../src/core/time.ts'
import { openDatabase } from '../../src/db/client.ts'
import { IMPORT_SIZE, insertImported } from '../../src/db/imports.ts'
import { insertReports } from '../../src/db/reports.ts'
import { markHistory } from '../../src/db/services.ts'
import { openTestApp } from '../app.ts'

const NOW = new Date('2012-11-18T12:00:30Z')
const app = await openTestApp(t, { now: NOW })

let made = 0
/** A report that differs from the last in all that it may differ in. */
function report (more: Partial<NewReport> = {}): NewReport {
  const n = made++
  const minute = NOW.getTime() - 30_000 - (n % 700) * MINUTE_MS
  return {
    serviceId: 1 + n % 5,
    intervalAt: floorTo(minute, INTERVAL_MS),
    id: uuid8(n.toString(16).padStart(32, '0')),
    minute,
    region: ['US', 'CA-ON', 'ZZ'][n % 3]!,
    deviceClass: ['iphone', 'unknown'][n % 2]!,
    verdict: n % 3,
    symptom: n % 4 === 0 ? 'sending' : null,
    impact: n % 3 === 0 ? n % 2 : null,
    network: null,
    disposition: 0,
    reason: null,
    comment: null,
    history: n % 7 === 0,
    ...more
  }
}

async function rowsOf (from: number): Promise<unknown[]> {
  return app.database.query(`select service_id, interval_at, minute, region, device_class, verdict, symptom, impact, network, disposition, late, reason
    from reports where id >= $1 order by id`, [uuid8(from.toString(16).padStart(32, '0'))])
}
const readMarks = () => app.database.query('select distinct service_id, minute from stale_minutes order by 1, 2')

t.test('the rows and marks are those that the statement for single reports writes', async t => {
  for (const size of [1, 3, 700, IMPORT_SIZE]) {
    made = 0
    await app.asOwner('truncate reports, stale_minutes')
    const reports = Array.from({ length: size }, () => report())
    t.equal((await insertReports(app.database, reports, 1, NOW)).size, size)
    const wanted = [await rowsOf(0), await readMarks()]
    await app.asOwner('truncate reports, stale_minutes')
    t.equal(await insertImported(app.database, reports, 1, NOW), size)
    t.strictSame([await rowsOf(0), await readMarks()], wanted, `${size} reports`)
    t.equal(wanted[0]!.length, size)
    t.equal(await insertImported(app.database, reports, 1, NOW), 0, 'once more adds none')
    t.strictSame(await rowsOf(0), wanted[0])
  }
})

t.test('one id that stands twice is one row, and one with a comment has it queued', async t => {
  const twin = report()
  t.equal(await insertImported(app.database, [twin, report(), { ...twin, region: 'DE' }], 1, NOW), 2)
  t.equal(await insertImported(app.database, [report({ comment: 'No sound.' }), report()], 1, NOW), 2)
  t.strictSame(await app.database.query('select text from comments'), [{ text: 'No sound.' }])
})

t.test('statements at once that hold the same ids, in whatever order, count each once and do not lock each other out', async t => {
  const reports = Array.from({ length: IMPORT_SIZE }, () => report())
  const orders = [reports, [...reports].reverse(), [...reports.slice(500), ...reports.slice(0, 500)], reports]
  const fresh = await Promise.all(orders.map(order => insertImported(app.database, order, 1, NOW)))
  t.equal(fresh.reduce((sum, count) => sum + count), IMPORT_SIZE)
})

t.test('marks of history only widen, and imports at once that mark the same services all get through', async t => {
  const database = openDatabase(app.connection, { onError: () => {} })
  t.teardown(() => database.close())
  const ids = Array.from({ length: 20 }, (_, i) => 10 + i)
  const read = () => database.query<{ history_from: Date, history_to: Date }>('select history_from, history_to from services where id between 10 and 29')
  await Promise.all(Array.from({ length: 40 }, (_, n) => {
    const spans = ids.map(serviceId => ({ serviceId, from: (50 - n) * MINUTE_MS, to: (60 + n) * MINUTE_MS }))
    return markHistory(database, n % 2 === 0 ? spans : spans.reverse())
  }))
  await markHistory(database, [{ serviceId: 10, from: 30 * MINUTE_MS, to: 31 * MINUTE_MS }])
  for (const row of await read()) t.strictSame(row, { history_from: new Date(11 * MINUTE_MS), history_to: new Date(99 * MINUTE_MS) })
})
