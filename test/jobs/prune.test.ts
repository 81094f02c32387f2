import t from 'tap'
import { openDatabase } from '../../src/db/client.ts'
import { hasPreview, keepPreview } from '../../src/db/moderation.ts'
import { readPartitionDays } from '../../src/db/partitions.ts'
import { ensureImportKey, ensureSalt } from '../../src/db/salts.ts'
import { prune } from '../../src/jobs/prune.ts'
import { createDatabase } from '../database.ts'

t.test('days are made ahead, and dropped on time even after a long stop', async t => {
  const { connection } = await createDatabase(t)
  const database = openDatabase(connection, { onError: () => {} })
  t.teardown(() => database.close())
  const now = new Date('2026-01-10T23:59:00Z')
  await Promise.all([prune(database, 3, now), prune(database, 3, now)])
  t.strictSame(await readPartitionDays(database, 'salts'), ['2026-01-09', '2026-01-10', '2026-01-11', '2026-01-12', '2026-01-13'])
  t.strictSame(await readPartitionDays(database, 'reports'), ['2026-01-07', '2026-01-08', '2026-01-09', '2026-01-10', '2026-01-11', '2026-01-12', '2026-01-13'])

  const salt = await ensureSalt(database, '2026-01-10', Buffer.from('first'))
  t.strictSame(await ensureSalt(database, '2026-01-10', Buffer.from('second')), salt, 'a day has one salt')
  await prune(database, 3, new Date('2026-01-11T00:01:00Z'))
  t.strictSame(await ensureSalt(database, '2026-01-10', Buffer.from('third')), salt, 'yesterday\'s is kept')
  await prune(database, 3, new Date('2026-01-12T00:00:00Z'))
  t.notOk((await readPartitionDays(database, 'salts')).includes('2026-01-10'), 'on the second day after it is gone')

  await prune(database, 3, new Date('2026-03-01T12:00:00Z'))
  t.strictSame(await database.query('select * from salts'), [])
  t.strictSame((await readPartitionDays(database, 'reports'))[0], '2026-02-26')
})

t.test('what a preview found is forgotten when no action may quote it any more', async t => {
  const { connection } = await createDatabase(t)
  const database = openDatabase(connection, { onError: () => {} })
  t.teardown(() => database.close())
  const now = new Date('2026-01-10T12:00:00Z')
  await keepPreview(database, [], now)
  await prune(database, 3, new Date('2026-01-10T13:00:00Z'))
  t.ok(await hasPreview(database, now))
  await prune(database, 3, new Date('2026-01-10T13:00:01Z'))
  t.notOk(await hasPreview(database, now))
})

t.test('the import key is made once', async t => {
  const { connection } = await createDatabase(t)
  const database = openDatabase(connection, { onError: () => {} })
  t.teardown(() => database.close())
  const key = await ensureImportKey(database, Buffer.from('one'))
  t.strictSame(await ensureImportKey(database, Buffer.from('two')), key)
})
