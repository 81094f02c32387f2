import { is } from 'drizzle-orm'
import { getTableConfig, PgTable } from 'drizzle-orm/pg-core'
import pg from 'pg'
import t from 'tap'
import * as tables from '../../src/db/tables.ts'
import { createDatabase } from '../database.ts'

t.test('the migrated database has just the tables and columns that drizzle knows', async t => {
  const { url } = await createDatabase(t)
  const client = new pg.Client(url)
  await client.connect()
  t.teardown(() => client.end())
  const { rows } = await client.query<{ column: string }>(`
    select c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || case when a.attnotnull then ' not null' else '' end as column
    from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and a.attnum > 0 and not a.attisdropped and c.relname <> 'migrations'`)
  const known = Object.values(tables).filter(value => is(value, PgTable)).flatMap(table => {
    const { name, columns } = getTableConfig(table as PgTable)
    return columns.map(column => `${name}.${column.name} ${column.getSQLType()}${column.notNull ? ' not null' : ''}`)
  })
  t.strictSame(known.sort(), rows.map(({ column }) => column).sort())
  t.ok(known.length > 90, 'there are columns to compare')
})
