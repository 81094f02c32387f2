// The pool, transactions and advisory locks. What is asked of the database stands in the file of its noun.
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import pg from 'pg'
import { Fault } from '../core/faults.ts'

/** Where to connect, as pg takes it. */
export type Connection = pg.PoolConfig

/** Longest time a statement of the service may run, on the server. */
export const STATEMENT_TIMEOUT_MS = 5_000
/** Longest time the service waits for an answer; below the 3 s in which a caller is told that the database is gone. */
export const ANSWER_TIMEOUT_MS = 2_500
const LOCK_TIMEOUT_MS = 2_000
const CONNECT_TIMEOUT_MS = 2_000
const POOL_MAX = 10

/** A handle on the database: typed queries, and plain SQL where a statement is built by hand. */
export interface Db {
  /** drizzle over the pool, or inside `transact` over its one connection. */
  readonly orm: NodePgDatabase
  /** Plain SQL. `name` makes it a prepared statement of the connection. */
  query<R extends pg.QueryResultRow> (text: string, values?: unknown[], name?: string): Promise<R[]>
}

/** The service's pool of connections. */
export interface Database extends Db {
  readonly pool: pg.Pool
  close (): Promise<void>
}

/**
 * Opens a bounded pool; connects on first use.
 * `answerTimeoutMs` 0 waits as long as the statement may run: for jobs and commands, where nobody waits for an answer.
 * `connectTimeoutMs` is also how long somebody waits for one of the pool's connections to be free.
 */
export function openDatabase (connection: Connection, options: {
  onError: (error: Error) => void, max?: number, answerTimeoutMs?: number, statementTimeoutMs?: number, connectTimeoutMs?: number
}): Database {
  const answerTimeoutMs = options.answerTimeoutMs ?? ANSWER_TIMEOUT_MS
  let closing = false
  // `end` does not wait for the sockets: a server that stops right after may still cut one, which is no loss.
  const onError = (error: Error) => { if (!closing) options.onError(error) }
  const pool = new pg.Pool({
    ...connection,
    max: options.max ?? POOL_MAX,
    connectionTimeoutMillis: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    idleTimeoutMillis: 30_000,
    statement_timeout: options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS,
    lock_timeout: LOCK_TIMEOUT_MS,
    idle_in_transaction_session_timeout: 30_000,
    ...(answerTimeoutMs === 0 ? {} : { query_timeout: answerTimeoutMs }),
    application_name: 'groundswell'
  })
  pool.on('error', onError)
  // A connection that is checked out has no listener of the pool's; without one, losing it would end the process.
  pool.on('connect', client => client.on('error', onError))
  return {
    pool,
    ...handle(pool),
    async close () {
      closing = true
      await pool.end()
    }
  }
}

/** Runs `work` in one transaction on one connection; a throw rolls it back. */
export async function transact<T> (database: Database, work: (tx: Db) => Promise<T>): Promise<T> {
  return withClient(database, client => inTransaction(client, 'read committed', work))
}

/**
 * Runs `work` on one snapshot, under `lock`, which is taken before: a snapshot from before the wait would not show what
 * the lock's last holder did.
 */
export async function transactUnderLock<T> (database: Database, lock: number, work: (tx: Db) => Promise<T>): Promise<T> {
  return withClient(database, async client => {
    await client.query('select pg_advisory_lock($1)', [lock])
    try {
      return await inTransaction(client, 'repeatable read', work)
    } finally {
      await client.query('select pg_advisory_unlock($1)', [lock])
    }
  })
}

/** Thrown by work that wants its transaction undone. */
export const UNDONE = new Error('undone on purpose')

async function withClient<T> (database: Database, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await database.pool.connect()
  let failed = false
  try {
    return await work(client)
  } catch (error) {
    failed = !(error instanceof Fault || error === UNDONE)
    throw error
  } finally {
    // A connection that failed is not used again: what it still holds goes with it. What we refuse ourselves leaves none
    // behind, and a new connection costs more than most refusals.
    client.release(failed)
  }
}

async function inTransaction<T> (client: pg.PoolClient, isolation: string, work: (tx: Db) => Promise<T>): Promise<T> {
  await client.query(`begin isolation level ${isolation}`)
  try {
    const result = await work(handle(client))
    await client.query('commit')
    return result
  } catch (error) {
    await client.query('rollback').catch(() => {})
    throw error
  }
}

const CONFLICT_RETRIES_MAX = 3

/** Runs `work` again when the database says that it collided with another transaction (40001, 40P01). */
export async function retryConflicts<T> (work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!isCollision(error) || attempt === CONFLICT_RETRIES_MAX) throw error
    }
  }
}

/** True when the database says that a transaction collided with another one, and did nothing. */
export function isCollision (error: unknown): boolean {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error && 'code' in cause && (cause.code === '40001' || cause.code === '40P01')
}

/** True when a connection can be made and asked. */
export async function canConnect (connection: Connection): Promise<boolean> {
  return await tryConnection(connection) === undefined
}

/** Connects and asks once; why it failed, or undefined. */
export async function tryConnection (connection: Connection): Promise<Error | undefined> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: CONNECT_TIMEOUT_MS })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('select 1')
    return undefined
  } catch (error) {
    return error as Error
  } finally {
    await client.end().catch(() => {})
  }
}

/** Advisory locks, by what they guard. */
export const LOCKS = { migrate: 7_301, jobs: 7_302, rollup: 7_303, partitions: 7_304, compaction: 7_305, catalog: 7_306 } as const

/** Waits for `lock` (no longer than lock_timeout) and holds it until the transaction ends. */
export async function lockInTransaction (tx: Db, lock: number): Promise<void> {
  await tx.query('select pg_advisory_xact_lock($1)', [lock])
}

/** A lock held on a connection of its own for as long as that lives. */
export interface HeldLock { lost: () => boolean, release: () => Promise<void> }

/** Takes `lock` for this process, or returns undefined when another holds it. */
export async function tryHoldLock (connection: Connection, lock: number): Promise<HeldLock | undefined> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: CONNECT_TIMEOUT_MS, keepAlive: true })
  let lost = false
  client.on('error', () => { lost = true })
  client.on('end', () => { lost = true })
  try {
    await client.connect()
    const { rows } = await client.query('select pg_try_advisory_lock($1) as held', [lock])
    if (rows[0].held === true) return { lost: () => lost, release: () => client.end() }
  } catch (error) {
    await client.end().catch(() => {})
    throw error
  }
  await client.end()
  return undefined
}

/** True when `error` says that the database could not be asked, rather than that it refused what was asked. */
export function isUnavailable (error: unknown): boolean {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  if (!(cause instanceof Error)) return false
  if (!('code' in cause) || cause.code === undefined) {
    // pg's own are plain errors; a SyntaxError may speak of an "unterminated string", or quote any word of a body.
    return cause.name === 'Error' && /terminated|timeout|connection|not queryable|closed/i.test(cause.message)
  }
  const code = String(cause.code)
  // Class 08: connection; 28: no longer let in; 53: resources; 57: operator intervention (57014 is a statement's time-out).
  // 3D000 and 55000: the database is gone, or takes no connections; 55P03: lock time-out.
  return /^(08|28|53|57)/.test(code) || ['3D000', '55000', '55P03'].includes(code) || /^E[A-Z]+$/.test(code)
}

function handle (queryable: pg.Pool | pg.PoolClient): Db {
  return {
    orm: drizzle(queryable),
    async query<R extends pg.QueryResultRow> (text: string, values: unknown[] = [], name?: string) {
      const { rows } = await queryable.query<R>(name === undefined ? { text, values } : { text, values, name })
      return rows
    }
  }
}
