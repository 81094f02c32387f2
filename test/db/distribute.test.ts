// The tables' places against the migrated database, and the way to them. Citus itself is other people's software: its
// functions are stood in for by ones that write down how they were called.
import pg from 'pg'
import t, { type Test } from 'tap'
import { distribute, PLACES } from '../../src/db/distribute.ts'
import { createDatabase } from '../database.ts'

const { connection } = await createDatabase(t)

async function ask<Row extends pg.QueryResultRow> (text: string, values: unknown[] = [], at = connection): Promise<Row[]> {
  const client = new pg.Client(at)
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<Row>(text, values)).rows
  } finally {
    await client.end()
  }
}

const OURS = "c.relnamespace = 'public'::regnamespace and not c.relispartition"

t.test('every table of the migrated database has one place', async t => {
  const rows = await ask<{ name: string }>(`select relname as name from pg_class c where ${OURS} and relkind in ('r', 'p')`)
  t.strictSame([...PLACES.reference, ...PLACES.distributed, ...PLACES.local].sort(), rows.map(({ name }) => name).sort())
})

t.test('whatever is unique or refers to a table lies on one node', async t => {
  const keys = await ask<{ name: string, table: string, columns: string[] }>(`select i.indexrelid::regclass::text as name, c.relname as table,
      array(select attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum = any(i.indkey)) as columns
    from pg_index i join pg_class c on c.oid = i.indrelid where ${OURS} and i.indisunique and c.relname = any($1)`, [PLACES.distributed])
  t.ok(keys.length >= 14, 'there are keys to look at')
  t.strictSame(keys.filter(({ columns }) => !columns.includes('service_id')), [], 'service_id is in all of them')
  t.strictSame(await ask(`select c.relname from pg_class c where ${OURS} and c.relname = any($1) and c.relreplident <> 'f'
    and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)`, [PLACES.distributed]), [], 'and each can be moved while it is written')

  const references = await ask<{ from: string, to: string, columns: string[] }>(`select c.relname as from, p.relname as to,
      array(select attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum = any(k.conkey)) as columns
    from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_class p on p.oid = k.confrelid where ${OURS} and k.contype = 'f'`)
  const placeOf = (table: string) => (Object.keys(PLACES) as (keyof typeof PLACES)[]).find(place => (PLACES[place] as readonly string[]).includes(table))!
  t.ok(references.length > 10, 'there are foreign keys to look at')
  for (const { from, to, columns } of references) {
    const places = `${placeOf(from)} to ${placeOf(to)}`
    t.ok(['reference to reference', 'distributed to reference', 'local to local'].includes(places) ||
      (places === 'distributed to distributed' && columns.includes('service_id')), `${from} to ${to}`)
    const order: readonly string[] = PLACES[placeOf(to)]
    if (placeOf(from) === placeOf(to)) t.ok(order.indexOf(to) < order.indexOf(from), `${to} comes before ${from}`)
  }
})

t.test('a table that leaves the coordinator has neither triggers nor numbers of its own, and its days are attached to it', async t => {
  t.strictSame(await ask(`select tgname from pg_trigger g join pg_class c on c.oid = g.tgrelid where ${OURS} and not tgisinternal and c.relname = any($1)`,
    [[...PLACES.reference, ...PLACES.distributed]]), [])
  // None anywhere: a number that is drawn on another node is out of order.
  t.strictSame(await ask(`select relname from pg_class c where ${OURS} and relkind = 'S'`), [])
  const missing = await ask(`select c.relname from pg_class c where ${OURS} and c.relname = any($1)
    and not exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'service_id' and a.attnotnull and a.atttypid = 'integer'::regtype)`, [PLACES.distributed])
  t.strictSame(missing, [], 'each distributed one says whose a row is')
  const [made] = await ask<{ source: string }>("select prosrc as source from pg_proc where proname = 'ensure_days'")
  t.match(made!.source, /like %I including defaults including constraints/)
  t.match(made!.source, /attach partition/)
  t.notMatch(made!.source, /partition of/)
})

t.test('without the extension it says what is missing, and changes nothing', async t => {
  await t.rejects(distribute(connection), /needs "create extension citus"/)
})

/** A database with stand-ins of the functions that are called; `broken`: the table at which they fail. */
async function openCluster (t: Test, broken = ''): Promise<typeof connection> {
  const { connection } = await createDatabase(t)
  await ask(`
    create table citus_tables (table_name regclass, citus_table_type text);
    create table calls (number serial, call text, settings text);
    create function note (name text, called regclass, type text) returns void language plpgsql as $$ begin
      if called::text = '${broken}' then raise exception 'no such node'; end if;
      insert into calls (call, settings) values (name || ' ' || called, current_setting('citus.enable_local_reference_table_foreign_keys', true) || ' ' || current_setting('citus.shard_count', true));
      if type is not null then insert into citus_tables values (called, type); end if;
    end $$;
    create function create_reference_table (table_name regclass) returns void language sql as $$ select note('reference', table_name, 'reference') $$;
    create function create_distributed_table (table_name regclass, distribution_column text, distribution_type text default 'hash', colocate_with text default 'default', shard_count integer default null)
      returns void language sql as $$ select note('by ' || distribution_column || ' with ' || colocate_with, table_name, 'distributed') $$;
    create function truncate_local_data_after_distributing_table (table_name regclass) returns void language plpgsql as $$ begin
      execute format('truncate %s cascade', table_name);
      perform note('empty', table_name, null);
    end $$`, [], connection)
  return connection
}

const callsOf = (at: typeof connection) => ask<{ call: string, settings: string | null }>('select call, settings from calls order by number', [], at)

t.test('tables are distributed parents first, all in one transaction, then what is left of them is emptied', async t => {
  const cluster = await openCluster(t)
  await ask(`insert into services (id, slug, name, expected_per_hour) values (1, 'x', 'X', 1); select ensure_days('reports', '2026-01-05', '2026-01-05');
    insert into reports values (1, '2026-01-05T00:00Z', gen_random_uuid(), '2026-01-05T00:00Z', 'CA', 'iphone', 2, null, null, null, 0, false)`, [], cluster)
  const moved = await distribute(cluster)
  t.strictSame(moved, [...PLACES.reference, ...PLACES.distributed])
  const calls = await callsOf(cluster)
  const emptied = ['empty services', 'empty compacted', 'empty reports']
  t.strictSame(calls.map(({ call }) => call), [
    ...PLACES.reference.map(table => `reference ${table}`),
    ...PLACES.distributed.map(table => `by service_id with ${table === 'reports' ? 'default' : 'reports'} ${table}`),
    ...emptied
  ])
  t.ok(calls.slice(0, -emptied.length).every(({ settings }) => settings === 'off 32'), 'under the settings that it needs')
  t.notMatch(calls.at(-1)!.settings, /off/, 'which end with the transaction')

  t.strictSame(await distribute(cluster), [])
  t.equal((await callsOf(cluster)).length, calls.length, 'again it changes nothing')

  await ask("delete from citus_tables where table_name = 'rulings'::regclass; insert into services (id, slug, name, expected_per_hour) values (2, 'y', 'Y', 1)", [], cluster)
  t.strictSame(await distribute(cluster), ['rulings'], 'what came later follows')
  t.strictSame((await callsOf(cluster)).slice(calls.length).map(({ call }) => call), ['by service_id with reports rulings', 'empty services'],
    'and what a run that broke off has left is emptied')
})

t.test('when a node fails halfway, no table is distributed', async t => {
  const cluster = await openCluster(t, 'outages')
  await t.rejects(distribute(cluster), /no such node/)
  t.strictSame(await callsOf(cluster), [])
  t.strictSame(await ask('select * from citus_tables', [], cluster), [])
})

t.test('a role that may not is told which one may', async t => {
  const cluster = await openCluster(t)
  await ask('grant select on citus_tables to public', [], cluster)
  const service = { connectionString: cluster.connectionString.replace(/^(postgres(?:ql)?:\/\/)[^@/:]*/, '$1groundswell_service') }
  await t.rejects(distribute(service), /may not distribute the tables .*DATABASE_OWNER_URL/)
})
