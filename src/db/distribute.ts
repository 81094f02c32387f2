// Where each table lies on a Citus cluster, and how a database gets there. Migrations know nothing of it; which statement
// goes where, and from which load on that pays, is in docs/scale.md.
import pg from 'pg'
import { LOCKS, type Connection } from './client.ts'

/**
 * Every table's place. `reference`: whole on every node, for what statements on any service join. `distributed`: by
 * `service_id`, all rows of a service on one node, so that they join and commit there. `local`: on the coordinator alone,
 * for what has one order or is locked, and for secrets. Parents stand before what refers to them.
 */
export const PLACES = {
  reference: [
    'services', 'device_classes', 'symptoms', 'components', 'fallbacks', 'workarounds', 'sources', 'source_pages', 'dependencies', 'compacted'
  ],
  distributed: [
    'reports', 'stale_minutes', 'windows', 'windows_1h', 'windows_1d', 'baselines', 'baselines_1h', 'baselines_1d', 'detector_states',
    'withheld', 'rulings', 'outages', 'outage_events', 'acknowledgements', 'comments', 'vendor_words', 'moderated_reports', 'previewed_reports'
  ],
  local: [
    'migrations', 'retention', 'installation', 'salts', 'spent_proofs', 'tokens', 'blocks', 'watched', 'watched_stretches', 'judging', 'rejudge',
    'moderation_actions', 'audit_log', 'audit_head', 'outbox', 'outbox_head', 'webhooks', 'deliveries', 'delivery_attempts'
  ]
} as const

/** Parts that a distributed table has, over all nodes: Citus' own default, and what the figures of docs/scale.md were taken with. */
const SHARDS = 32

/**
 * Distributes the tables of a migrated database in one transaction, with what is in them; then empties what is left of them on the
 * coordinator. Tables that are distributed already are passed over, so it may run again, and must after a migration that
 * brings a table. Nobody else should use the tables meanwhile.
 * @returns the names of the tables distributed now.
 * @throws Error when the database has no Citus, or this role does not own the tables; DatabaseError for what Citus refuses.
 */
export async function distribute (owner: Connection): Promise<string[]> {
  const client = new pg.Client({ ...owner, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [LOCKS.migrate])
    const { rows: [found] } = await client.query("select to_regclass('citus_tables') is not null as there")
    if (found.there === false) {
      throw new Error('The database has no Citus: --distribute needs "create extension citus" on it and on every node, see docs/scale.md. The migrations are applied.')
    }
    const moved = await move(client)
    await emptyShells(client)
    return moved
  } catch (error) {
    if ((error as { code?: string }).code !== '42501') throw error
    throw new Error(`This role may not distribute the tables (${(error as Error).message}): run "groundswell migrate --distribute" with DATABASE_OWNER_URL, the role that owns them.`, { cause: error })
  } finally {
    await client.end()
  }
}

async function move (client: pg.Client): Promise<string[]> {
  await client.query('begin')
  // Else a key between two tables that are distributed one after the other is refused.
  await client.query('set local citus.enable_local_reference_table_foreign_keys = off')
  await client.query(`set local citus.shard_count = ${SHARDS}`)
  const { rows } = await client.query<{ name: string }>("select table_name::text as name from citus_tables where citus_table_type in ('reference', 'distributed')")
  const there = new Set(rows.map(({ name }) => name))
  const missing = (tables: readonly string[]) => tables.filter(table => !there.has(table))
  const [references, distributed] = [missing(PLACES.reference), missing(PLACES.distributed)]
  for (const table of references) await client.query('select create_reference_table($1)', [table])
  for (const table of distributed) {
    // The first decides where each service lies; its partitions go with it.
    await (table === 'reports'
      ? client.query("select create_distributed_table($1, 'service_id')", [table])
      : client.query("select create_distributed_table($1, 'service_id', colocate_with => 'reports')", [table]))
  }
  await client.query('commit')
  return [...references, ...distributed]
}

/** What was in a table stays on the coordinator, where nobody sees it; found by its size, so that a run that broke off is finished. */
async function emptyShells (client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string }>(`select name from unnest($1::text[]) with ordinality as listed(name, number)
    where pg_relation_size(name::regclass) + (select coalesce(sum(pg_relation_size(relid)), 0) from pg_partition_tree(name::regclass)) > 0
    order by number`, [[...PLACES.reference, ...PLACES.distributed]])
  for (const { name } of rows) await client.query('select truncate_local_data_after_distributing_table($1)', [name])
}
