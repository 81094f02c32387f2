import t from 'tap'
import { Fault } from '../../src/core/faults.ts'
import { LOCKS, openDatabase, transact, transactUnderLock, UNDONE } from '../../src/db/client.ts'
import { createDatabase } from '../database.ts'

t.test('what we refuse ourselves keeps its connection, rolled back and without its lock; what failed does not', async t => {
  const { connection } = await createDatabase(t)
  const database = openDatabase(connection, { onError: () => {}, max: 1 })
  t.teardown(() => database.close())
  const pid = async () => (await database.query<{ pid: number }>('select pg_backend_pid() as pid'))[0]!.pid
  const leave = (error: Error) => transactUnderLock(database, LOCKS.rollup, async tx => {
    await tx.query('create table half_done (a integer)')
    throw error
  })
  const first = await pid()
  for (const error of [new Fault('conflict', 'no'), UNDONE]) {
    await t.rejects(leave(error), error)
    t.equal(await pid(), first)
    t.strictSame(await database.query("select 1 from pg_locks where locktype = 'advisory'"), [])
    t.strictSame(await database.query("select to_regclass('half_done') as it"), [{ it: null }])
  }
  await t.rejects(transact(database, tx => tx.query('select 1 / 0')))
  t.not(await pid(), first)
})
