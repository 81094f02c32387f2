// Two roles: the owner, who migrates, and the service, which can read and write rows and nothing else.
import pg from 'pg'
import type { Connection } from './client.ts'

/** What the service may do with a table, where that is less than reading and writing any row. */
const LESS: Record<string, string> = {
  // What was said stays said.
  audit_log: 'select, insert',
  outage_events: 'select, insert',
  vendor_words: 'select, insert',
  outbox: 'select, insert, delete',
  // They go with their delivery.
  delivery_attempts: 'select, insert',
  // Retired, never removed.
  webhooks: 'select, insert, update',
  migrations: 'select',
  retention: 'select',
  installation: 'select, insert',
  salts: 'select, insert',
  // A moderator changes what became of a report, never what it says; whole days are dropped by the owner's function.
  reports: 'select, insert, update (disposition, reason)'
}
const ANY_ROW = 'select, insert, update, delete'
const DAY_FUNCTIONS = 'ensure_days (text, date, date), drop_days (text, date)'

/** Makes a role that may log in, unless there is one of that name. */
export async function ensureRole (owner: Connection, name: string): Promise<void> {
  await withClient(owner, async client => {
    const role = client.escapeIdentifier(name)
    await client.query(`create role ${role} login`).catch((error: { code?: string }) => {
      // 42710, 23505: it is there, or another process is making it.
      if (error.code !== '42710' && error.code !== '23505') throw error
    })
  })
}

/**
 * Lets the service's role do what it must and no more, and writes down how long raw reports are kept. Run it after each
 * migration; again it changes nothing. Where `owner` does not own the tables, somebody else has done so before.
 * @returns whether the service is held to that: false when it is the owner itself, or may do everything.
 * @throws Error when the owner keeps raw reports for longer than `retentionDays`.
 */
export async function admitService (owner: Connection, service: Connection, retentionDays: number): Promise<boolean> {
  const { name, free } = await withClient(service, async client => {
    const { rows: [row] } = await client.query<{ name: string, free: boolean }>(
      'select current_user as name, pg_has_role(relowner, \'usage\') as free from pg_class where oid = \'audit_log\'::regclass')
    return row!
  })
  await withClient(owner, async client => {
    const { rows: [row] } = await client.query<{ owns: boolean }>(
      'select pg_has_role(relowner, \'usage\') as owns from pg_class where oid = \'audit_log\'::regclass')
    if (!row!.owns) return checkRetention(client, retentionDays)
    await client.query(`insert into retention (report_days) values ($1)
      on conflict (one) do update set report_days = excluded.report_days where retention.report_days <> excluded.report_days`, [retentionDays])
    if (!free) await grant(client, name)
  })
  return !free
}

async function checkRetention (client: pg.Client, retentionDays: number): Promise<void> {
  const { rows: [row] } = await client.query<{ report_days: number }>('select report_days from retention')
  const kept = row?.report_days ?? Infinity
  if (retentionDays >= kept) return
  throw new Error(`RETENTION_DAYS is ${retentionDays}, but the owner of the database keeps raw reports for ${kept} days: run "groundswell migrate" with DATABASE_OWNER_URL and RETENTION_DAYS=${retentionDays}, or raise it here.`)
}

async function grant (client: pg.Client, name: string): Promise<void> {
  const role = client.escapeIdentifier(name)
  const { rows } = await client.query<{ table: string }>(`select relname as table from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
      and relowner = (select relowner from pg_class where oid = 'audit_log'::regclass)`)
  // One transaction: a service that runs meanwhile never stands without its rights.
  await client.query(['begin',
    ...rows.flatMap(({ table }) => {
      const quoted = client.escapeIdentifier(table)
      return [`revoke all on ${quoted} from ${role}`, `grant ${LESS[table] ?? ANY_ROW} on ${quoted} to ${role}`]
    }),
    `grant usage on schema public to ${role}`,
    `grant execute on function ${DAY_FUNCTIONS} to ${role}`,
    'commit'].join(';'))
}

async function withClient<T> (connection: Connection, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
