import { readdir } from 'node:fs/promises'
import t from 'tap'
import { openDatabase, type Database } from '../../src/db/client.ts'
import { migrate } from '../../src/db/migrate.ts'
import { admitService } from '../../src/db/roles.ts'
import { dayOf, DAY_MS } from '../../src/core/time.ts'
import { dropPartitions, ensurePartitions, readPartitionDays } from '../../src/db/partitions.ts'
import { createDatabase } from '../database.ts'

const REFUSED = { code: '42501' }
const NOW = new Date('2026-11-20T12:00:00Z')

async function open (t: Parameters<typeof createDatabase>[0]) {
  const { connection, service, url } = await createDatabase(t)
  const [owned, served] = [connection, service].map(each => openDatabase(each, { onError: () => {} })) as [Database, Database]
  t.teardown(() => Promise.all([owned.close(), served.close()]))
  return { connection, service, url, owned, served }
}

t.test('the service can neither drop, truncate nor alter any table, nor make one', async t => {
  const { owned, served } = await open(t)
  await ensurePartitions(served, 'reports', NOW.getTime(), NOW.getTime())
  await ensurePartitions(served, 'salts', NOW.getTime(), NOW.getTime())
  const tables = await owned.query<{ name: string }>(`select relname as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')`)
  t.ok(tables.length > 25, 'there are tables, and partitions among them')
  for (const { name } of tables) {
    await t.rejects(served.query(`drop table "${name}" cascade`), REFUSED, `drop ${name}`)
    await t.rejects(served.query(`truncate "${name}"`), REFUSED, `truncate ${name}`)
    await t.rejects(served.query(`alter table "${name}" add column more integer`), REFUSED, `alter ${name}`)
    await t.rejects(served.query(`create trigger mine before insert on "${name}" execute function suppress_redundant_updates_trigger()`), REFUSED, `a trigger on ${name}`)
  }
  await t.rejects(served.query('create table mine (a integer)'), REFUSED)
  await t.rejects(served.query('create schema mine'), REFUSED)
  await t.rejects(served.query('create or replace function drop_days (parent text, before date) returns integer language sql as $$ select 1 $$'), REFUSED)
  await t.rejects(served.query(`set role ${(await owned.query<{ name: string }>('select current_user as name'))[0]!.name}`), REFUSED)
  await t.rejects(served.query('alter role current_user superuser'), REFUSED)
})

t.test('what was said stays said', async t => {
  const { served } = await open(t)
  for (const table of ['audit_log', 'outage_events']) {
    t.strictSame(await served.query(`select * from ${table}`), [])
    await t.rejects(served.query(`update ${table} set at = now()`), REFUSED, `update ${table}`)
    await t.rejects(served.query(`delete from ${table}`), REFUSED, `delete from ${table}`)
  }
  await t.rejects(served.query('delete from reports where interval_at > now()'), REFUSED, 'reports go with their day alone')
  await t.rejects(served.query("update reports set verdict = 0, region = 'CA' where interval_at > now()"), REFUSED, 'what a report says is not changed')
  await t.rejects(served.query("update outbox set data = '{}'"), REFUSED, 'what listeners were told')
  await t.rejects(served.query("update delivery_attempts set error = ''"), REFUSED)
  await t.rejects(served.query('delete from webhooks'), REFUSED, 'a webhook is retired')
  await t.rejects(served.query("update salts set salt = ''"), REFUSED)
  await t.rejects(served.query("update installation set import_key = ''"), REFUSED)
  await t.rejects(served.query('update retention set report_days = 1'), REFUSED)
  await t.rejects(served.query("insert into migrations values ('0099_mine.sql', '', now())"), REFUSED)
})

t.test('days are made and dropped by the owner\'s functions, which keep the retention by the database\'s own clock', async t => {
  const { owned, served } = await open(t)
  const today = (await owned.query<{ at: Date }>('select now() as at'))[0]!.at.getTime()
  const ago = (days: number) => dayOf(today - days * DAY_MS)
  for (const table of ['reports', 'salts'] as const) {
    await Promise.all([1, 2].map(() => ensurePartitions(served, table, today - 40 * DAY_MS, today)))
    t.strictSame((await readPartitionDays(served, table)).length, 41)
  }
  await t.rejects(dropPartitions(served, 'reports', ago(29)), REFUSED, 'the thirtieth day is kept')
  await t.rejects(dropPartitions(served, 'salts', ago(0)), REFUSED, 'yesterday\'s salt is kept')
  t.strictSame((await readPartitionDays(served, 'reports')).length, 41, 'nothing is gone')
  t.equal(await dropPartitions(served, 'reports', ago(30)), 10)
  t.equal(await dropPartitions(served, 'salts', ago(1)), 39)
  t.strictSame(await readPartitionDays(served, 'reports'), Array.from({ length: 31 }, (_, i) => ago(30 - i)))
  t.strictSame(await readPartitionDays(served, 'salts'), [ago(1), ago(0)])

  for (const call of ["ensure_days('audit_log', '2026-01-01', '2026-01-01')", "ensure_days('reports; drop table services', '2026-01-01', '2026-01-01')",
    "ensure_days('reports', '2000-01-01', '2026-01-01')", "drop_days('audit_log', '2000-01-01')"]) {
    await t.rejects(served.query(`select ${call}`), { code: '22023' }, call)
  }
  await owned.query('delete from retention')
  await t.rejects(dropPartitions(served, 'reports', '2000-01-01'), REFUSED, 'without the owner\'s word nothing is dropped')
})

t.test('what is admitted is admitted again, to tables that came later too', async t => {
  const { connection, service, owned, served } = await open(t)
  await owned.query('create table later (a integer)')
  await t.rejects(served.query('select * from later'), REFUSED)
  await owned.query('grant delete on audit_log to groundswell_service')
  t.equal(await admitService(connection, service, 30), true)
  t.strictSame(await served.query('insert into later values (1) returning a'), [{ a: 1 }])
  await t.rejects(served.query('delete from audit_log'), REFUSED, 'what was granted beside is taken back')
  t.equal(await admitService(connection, connection, 30), false, 'the owner is not held to anything')
})

t.test('a service without its owner starts when nothing is to be done, and says what is when not', async t => {
  const { connection, service, owned } = await open(t)
  t.strictSame(await migrate(service, NOW), [])
  t.equal(await admitService(service, service, 35), true)
  await t.rejects(admitService(service, service, 7), /RETENTION_DAYS is 7, but the owner of the database keeps raw reports for 30 days: run "groundswell migrate"/)
  t.equal(await admitService(connection, service, 7), true, 'the owner may shorten it')
  t.equal(await admitService(service, service, 7), true)
  const newest = (await readdir(new URL('../../migrations/', import.meta.url))).sort().at(-1)!
  await owned.query('delete from migrations where name = $1', [newest])
  await t.rejects(migrate(service, NOW), { message: `The database misses ${newest}, and this role may not change it: run "groundswell migrate" with DATABASE_OWNER_URL, the role that owns the tables.` })
})
