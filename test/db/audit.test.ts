import t from 'tap'
import { recordAudit, verifyAudit } from '../../src/db/audit.ts'
import { openDatabase, transact } from '../../src/db/client.ts'
import { createDatabase } from '../database.ts'

async function open (rows: number) {
  const { connection } = await createDatabase(t)
  const database = openDatabase(connection, { onError: () => {} })
  t.teardown(() => database.close())
  for (let i = 1; i <= rows; i++) {
    await transact(database, tx => recordAudit(tx, {
      actor: `a${i}`, action: 'service.update', target: `service/${i}`, before: i % 2 === 0 ? null : { name: `naïve ☕ ${i}` }, after: { n: i }, reason: i % 3 === 0 ? null : 'why'
    }, new Date(1_353_000_000_123 + i)))
  }
  return database
}

t.test('a log as it was written is whole, an empty one too, and an earlier head stays in it', async t => {
  const empty = await open(0)
  t.strictSame(await verifyAudit(empty), { count: 0, head: '0'.repeat(64), faults: [] })
  const database = await open(5)
  const { count, head, faults } = await verifyAudit(database)
  t.strictSame({ count, faults }, { count: 5, faults: [] })
  await transact(database, tx => recordAudit(tx, { actor: 'a', action: 'x', target: 'y' }, new Date()))
  t.match(await verifyAudit(database, head), { count: 6, faults: [] })
  t.match((await verifyAudit(database, 'ab'.repeat(32))).faults, [/is not in the log/])
})

t.test('whatever is changed of a row is found', async t => {
  const database = await open(4)
  for (const change of [
    "actor = 'b'", "action = 'service.create'", "target = 'service/9'", "before = '{}'", 'after = null', "after = '{ \"n\": 3 }'", "reason = 'other'", "at = at + interval '1 microsecond'",
    "at = at + interval '1 hour'", "id = '0192a1b2-0000-7000-8000-000000000000'"
  ]) {
    await database.query('create table kept as select * from audit_log')
    await database.query(`update audit_log set ${change} where number = 3`)
    t.match((await verifyAudit(database)).faults, [/^Row 3 of .* was changed/], change)
    await database.query('delete from audit_log')
    await database.query('insert into audit_log select * from kept')
    await database.query('drop table kept')
  }
  t.strictSame((await verifyAudit(database)).faults, [])
})

t.test('rows that are gone or elsewhere are found: first, middle, last, and two that changed places', async t => {
  for (const [where, told] of [
    ['number = 1', /^Row 1 is missing/], ['number in (2, 3)', /^Rows 2 to 3 are missing/], ['number = 5', /^Row 5, the last, is missing/], ['number > 3', /^Rows 4 to 5, the last, are missing/], ['true', /^Rows 1 to 5, the last, are missing/]
  ] as const) {
    const database = await open(5)
    await database.query(`delete from audit_log where ${where}`)
    t.match((await verifyAudit(database)).faults, [told], where)
  }
  const swapped = await open(5)
  await swapped.query('update audit_log set number = case number when 2 then -3 else -2 end where number in (2, 3)')
  await swapped.query('update audit_log set number = -number where number < 0')
  t.ok((await verifyAudit(swapped)).faults.length >= 2)
})

t.test('a log cut off with its head, or made anew from some row on, is found by a head that was kept', async t => {
  const database = await open(5)
  const { head } = await verifyAudit(database)
  await database.query('delete from audit_log where number > 3')
  await database.query('update audit_head set number = 3, hash = (select hash from audit_log where number = 3)')
  t.strictSame((await verifyAudit(database)).faults, [], 'in itself it is whole')
  t.match((await verifyAudit(database, head)).faults, [/is not in the log/])
  await transact(database, tx => recordAudit(tx, { actor: 'thief', action: 'x', target: 'y' }, new Date()))
  t.match((await verifyAudit(database, head)).faults, [/is not in the log/])
  await database.query("update audit_head set hash = '\\x00'")
  t.match((await verifyAudit(database)).faults, [/head of the log is not that/])
  await database.query('delete from audit_head')
  t.match((await verifyAudit(database)).faults, [/head of the log is missing/])
})
