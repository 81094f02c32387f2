import t from 'tap'
import { DAY_MS, dayOf } from '../../src/core/time.ts'
import { openDatabase } from '../../src/db/client.ts'
import { readPartitionDays } from '../../src/db/partitions.ts'
import { holdSalts } from '../../src/ingest/salts.ts'
import { prune } from '../../src/jobs/prune.ts'
import { createDatabase } from '../database.ts'

const NOW = Date.parse('2012-11-18T23:59:00Z')
const PARTS = ['an address']

t.test('a day has one salt on all instances for two days, then nobody has it, in memory or in the tables', async t => {
  const { connection } = await createDatabase(t)
  const database = openDatabase(connection, { onError: () => {} })
  t.teardown(() => database.close())
  const [one, other] = [holdSalts(database), holdSalts(database)]
  await prune(database, 30, new Date(NOW))
  const hash = (await one.hashOf(NOW))(PARTS)
  t.equal((await other.hashOf(NOW))(PARTS), hash)
  t.equal((await one.hashOf(NOW - DAY_MS + 1))(PARTS) === hash, dayOf(NOW - DAY_MS + 1) === dayOf(NOW))
  const next = (await one.hashOf(NOW + 2 * 60_000))(PARTS)
  t.not(next, hash, 'the next day has another')

  const tomorrow = NOW + DAY_MS
  await prune(database, 30, new Date(tomorrow))
  for (const salts of [one, other]) {
    salts.tidy(tomorrow)
    t.equal((await salts.hashOf(NOW))(PARTS), hash, 'a report of yesterday finds its own')
  }

  // The service stood still for a week: the first thing that it does is to drop what is past.
  const later = NOW + 7 * DAY_MS
  await prune(database, 30, new Date(later))
  for (const salts of [one, other]) salts.tidy(later)
  t.strictSame((await readPartitionDays(database, 'salts')).filter(day => day < dayOf(later - DAY_MS)), [])
  t.strictSame(await database.query('select 1 from salts'), [])
  await t.rejects(async () => one.hashOf(NOW), 'there is no place for a salt of that day')
  t.match((await one.hashOf(later))(PARTS), /^[0-9a-f]{32}$/)
})
