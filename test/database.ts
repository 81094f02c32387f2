// A fresh, migrated database for a test file, on the cluster that scripts/test.mjs started or on one of our own.
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { dayOf } from '../src/core/time.ts'
import { canConnect, openDatabase, type Database } from '../src/db/client.ts'
import { migrate } from '../src/db/migrate.ts'
import { admitService, ensureRole } from '../src/db/roles.ts'
import { startEmbedded } from '../src/embedded/postgres.ts'
import { prune } from '../src/jobs/prune.ts'

const MIGRATIONS = new URL('../migrations/', import.meta.url)
/** Any constant: it only has to differ from the service's own locks. */
const TEMPLATE_LOCK = 7_399

/** The service's role, made once on the tests' server. */
const SERVICE_ROLE = 'groundswell_service'
/** As long as the service keeps raw reports when nothing else is configured. */
const RETENTION_DAYS = 30

/** The day of most tests: its partitions are half of what an app's start takes, and so are copied rather than made. */
const USUAL_DAY = '2012-11-18'

/** A database of one test. */
export interface TestDatabase {
  /** For `new pg.Client(url)`, `DATABASE_URL` of a child process, and the like. */
  url: string
  /** The same, as the owner of the tables, for what takes pg's options, such as `openDatabase`. */
  connection: { connectionString: string }
  /** As the service, which may read and write rows and no more; only where it is migrated. */
  service: { connectionString: string }
  name: string
}

/**
 * Makes a database with all migrations applied, dropped with everything connected to it when `t` ends. Pools on it need
 * an `error` listener: the drop cuts their connections. `migrated: false` leaves it empty; for an app that starts at `now`
 * the partitions of that day may be there already.
 */
export async function createDatabase (t: Pick<Test, 'teardown'>, options: { migrated?: boolean, now?: Date } = {}): Promise<TestDatabase> {
  const server = await findServer()
  const name = `groundswell_${randomBytes(6).toString('hex')}`
  await asAdmin(server, async admin => {
    const template = options.migrated === false ? 'template1' : await ensureTemplate(server, admin, options.now !== undefined && dayOf(options.now.getTime()) === USUAL_DAY)
    await admin.query(`create database ${name} template ${template}`)
  })
  t.teardown(() => asAdmin(server, admin => admin.query(`drop database if exists ${name} with (force)`)))
  const url = within(server, name)
  return { url, connection: { connectionString: url }, service: { connectionString: asRole(url, SERVICE_ROLE) }, name }
}

/** The same database, of which something comes in between: before each transaction. */
export function interrupt (database: Database, interruption: () => Promise<unknown>): Database {
  return {
    ...database,
    pool: new Proxy(database.pool, {
      get: (pool, member) => member !== 'connect'
        ? Reflect.get(pool, member)
        : async () => {
          await interruption()
          return pool.connect()
        }
    })
  }
}

/** A temporary folder for an embedded database, removed when `t` ends. */
export async function makeStateFolder (t: Pick<Test, 'teardown'>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'groundswell-test-'))
  t.teardown(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

let own: Promise<string> | undefined

/** A URL on the server; its database is one to give orders from. */
async function findServer (): Promise<string> {
  const given = process.env['TEST_DATABASE_URL']
  if (given !== undefined && given !== '') return given
  own ??= startOwn()
  return own
}

async function startOwn (): Promise<string> {
  const dataDir = await makeStateFolder(t)
  const { connection, stop } = await startEmbedded({ dataDir, isReady: canConnect, log: () => {}, throwAway: true })
  t.teardown(stop)
  return `postgresql://${connection.user}@/${connection.database}?host=${encodeURIComponent(connection.host)}&port=${connection.port}`
}

function asRole (url: string, role: string): string {
  return url.replace(/^(postgres(?:ql)?:\/\/)[^@/:]*/, `$1${role}`)
}

function within (server: string, database: string): string {
  return server.replace(/^(postgres(?:ql)?:\/\/[^/]*\/)[^?]*/, `$1${database}`)
}

/** The database to copy, made by whichever file comes first and named after what the migrations say. */
async function ensureTemplate (server: string, admin: pg.Client, usualDay: boolean): Promise<string> {
  const hash = createHash('sha256')
  for (const name of (await readdir(MIGRATIONS)).sort()) hash.update(`${name}\0`).update(await readFile(new URL(name, MIGRATIONS)))
  const template = `groundswell_template_${hash.digest('hex').slice(0, 12)}${usualDay ? '_day' : ''}`
  await admin.query('select pg_advisory_lock($1)', [TEMPLATE_LOCK])   // held until this connection ends
  const { rowCount } = await admin.query('select from pg_database where datname = $1', [template])
  if (rowCount === 0) {
    const draft = `groundswell_draft_${randomBytes(6).toString('hex')}`   // renamed when whole: a kill half-way leaves no half template
    await admin.query(`create database ${draft}`)
    const connection = { connectionString: within(server, draft) }
    await ensureRole(connection, SERVICE_ROLE)
    await migrate(connection, new Date())
    const service = { connectionString: asRole(connection.connectionString, SERVICE_ROLE) }
    await admitService(connection, service, RETENTION_DAYS)
    if (usualDay) {
      const database = openDatabase(service, { onError: () => {}, max: 1 })
      await prune(database, RETENTION_DAYS, new Date(USUAL_DAY)).finally(() => database.close())
    }
    await admin.query(`alter database ${draft} rename to ${template}`)
  }
  await admin.query('select pg_advisory_unlock($1)', [TEMPLATE_LOCK])
  return template
}

async function asAdmin (server: string, work: (admin: pg.Client) => Promise<unknown>): Promise<void> {
  const admin = new pg.Client({ connectionString: server, connectionTimeoutMillis: 10_000 })
  admin.on('error', () => {})
  await admin.connect()
  try {
    await work(admin)
  } finally {
    await admin.end()
  }
}
