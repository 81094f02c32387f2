import pg from 'pg'
import t from 'tap'
import { migrate, pendingMigrations } from '../../src/db/migrate.ts'
import { createDatabase } from '../database.ts'

const NOW = new Date('2026-01-05T00:00:00Z')

t.test('three at once migrate once, and the next finds nothing to do', async t => {
  const { connection } = await createDatabase(t, { migrated: false })
  const applied = await Promise.all([1, 2, 3].map(() => migrate(connection, NOW)))
  t.strictSame(applied.map(names => names.length > 0).sort(), [false, false, true])
  t.strictSame(await migrate(connection, NOW), [])
  const client = new pg.Client(connection)
  await client.connect()
  const { rows } = await client.query('select name from migrations order by 1')
  await client.end()
  t.strictSame(rows.map(({ name }) => name), applied.find(names => names.length > 0))
})

t.test('a migration that changed, came too late, or is not known stops the start', async t => {
  const file = (name: string, sha256 = name) => ({ name, sha256 })
  t.strictSame(pendingMigrations([file('0001_a.sql'), file('0002_b.sql')], [file('0001_a.sql')]).map(({ name }) => name), ['0002_b.sql'])
  t.throws(() => pendingMigrations([file('0001_a.sql', 'other')], [file('0001_a.sql')]), /has changed since/)
  t.throws(() => pendingMigrations([file('0001_a.sql'), file('0002_b.sql')], [file('0002_b.sql')]), /is older than 0002_b.sql/)
  t.throws(() => pendingMigrations([file('0001_a.sql')], [file('0001_a.sql'), file('0002_b.sql')]), /run a newer version/)
})
