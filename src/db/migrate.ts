import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import pg from 'pg'
import { LOCKS, type Connection } from './client.ts'

const FOLDER = new URL('../../migrations/', import.meta.url)

/**
 * Brings the database up to date: every file of `migrations/` that it has not seen, in order, a transaction each.
 * Safe to run twice at once (the second waits) and again (nothing happens).
 * @returns the names of the files applied now.
 * A role that owns nothing may call it too, as long as there is nothing to do.
 * @throws Error when a file that was applied has changed since, or an older one appeared after a newer; when files are
 * missing and this role may not apply them.
 */
export async function migrate (connection: Connection, now: Date): Promise<string[]> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [LOCKS.migrate])
    const pending = pendingMigrations(await readMigrations(), await readApplied(client))
    if (pending.length === 0) return []
    try {
      await apply(client, pending, now)
    } catch (error) {
      if ((error as { code?: string }).code !== '42501') throw error
      throw new Error(`The database misses ${pending.map(({ name }) => name).join(', ')}, and this role may not change it: run "groundswell migrate" with DATABASE_OWNER_URL, the role that owns the tables.`, { cause: error })
    }
    return pending.map(({ name }) => name)
  } finally {
    await client.end()
  }
}

async function readApplied (client: pg.Client): Promise<{ name: string, sha256: string }[]> {
  const { rows: [found] } = await client.query("select to_regclass('migrations') is not null as there")
  if (found.there === false) return []
  return (await client.query<{ name: string, sha256: string }>('select name, sha256 from migrations order by name')).rows
}

async function apply (client: pg.Client, pending: readonly Migration[], now: Date): Promise<void> {
  await client.query(`create table if not exists migrations (
    name text primary key, sha256 text not null, applied_at timestamptz not null)`)
  for (const { name, sha256, sql } of pending) {
    await client.query('begin')
    // Plain PostgreSQL takes any dotted name. Citus would refuse a foreign key after other work on the same shards at once.
    await client.query("set local citus.multi_shard_modify_mode = 'sequential'")
    await client.query(sql)
    await client.query('insert into migrations values ($1, $2, $3)', [name, sha256, now.toISOString()])
    await client.query('commit')
  }
}

interface Migration { name: string, sha256: string, sql: string }

async function readMigrations (): Promise<Migration[]> {
  const names = (await readdir(FOLDER)).filter(name => /^\d{4}_\w+\.sql$/.test(name)).sort()
  return Promise.all(names.map(async name => {
    const sql = await readFile(new URL(name, FOLDER), 'utf8')
    return { name, sha256: createHash('sha256').update(sql).digest('hex'), sql }
  }))
}

/** The files not yet applied. Forward only: what was applied is there, unchanged and older than all that is not. */
export function pendingMigrations<M extends { name: string, sha256: string }> (
  files: readonly M[], applied: readonly { name: string, sha256: string }[]
): M[] {
  const bySum = new Map(applied.map(({ name, sha256 }) => [name, sha256]))
  const newest = applied.at(-1)?.name ?? ''
  for (const { name } of applied) {
    if (!files.some(file => file.name === name)) {
      throw new Error(`The database has migration ${name}, which this version of groundswell does not know: run a newer version.`)
    }
  }
  return files.filter(({ name, sha256 }) => {
    const sum = bySum.get(name)
    if (sum !== undefined && sum !== sha256) throw new Error(`Migration ${name} was applied and has changed since: restore the file, and put changes into a new one.`)
    if (sum === undefined && name < newest) throw new Error(`Migration ${name} is older than ${newest}, which is applied: give it the next number.`)
    return sum === undefined
  })
}
