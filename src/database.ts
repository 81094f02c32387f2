import type { BaseLogger } from 'pino'
import type { Config } from './config.ts'
import { canConnect, tryConnection, type Connection } from './db/client.ts'
import { ensureRole } from './db/roles.ts'
import { findDataDir } from './embedded/ground.ts'
import { joinEmbedded, startEmbedded, type EmbeddedConnection, type EmbeddedOptions } from './embedded/postgres.ts'

/** The role of the service in the embedded database, whose owner has the name of the database. */
const SERVICE_ROLE = 'groundswell_service'

/** What one process of the service opens at most: its pools, the lock of the jobs and what listens (app.ts). */
const CONNECTIONS_PER_PROCESS = 27
/** Room for commands, and for PostgreSQL's own reserve. */
const CONNECTIONS_BESIDE = 20

/** A database that can be connected to, as the service and as the owner of its tables, and how to let go of it. */
export interface Provided { connection: Connection, owner: Connection, stop: () => Promise<void> }

/**
 * The database of the configuration: one's own by DATABASE_URL, else the embedded one in DATA_DIR, started.
 * @throws EmbeddedError when another process already runs it there; Error when one's own cannot be reached.
 */
export async function provideDatabase (config: Config, log: BaseLogger): Promise<Provided> {
  if (config.databaseUrl !== undefined) {
    const connection = await reach('DATABASE_URL', config.databaseUrl)
    const owner = config.databaseOwnerUrl === undefined ? connection : await reach('DATABASE_OWNER_URL', config.databaseOwnerUrl)
    return { connection, owner, stop: async () => {} }
  }
  const dataDir = config.dataDir ?? await findDataDir(process.cwd())
  log.info({ data_dir: dataDir }, 'the embedded database keeps its files here')
  return provideEmbedded(dataDir, log, { connectionsMax: config.workers * CONNECTIONS_PER_PROCESS + CONNECTIONS_BESIDE })
}

/** The embedded database in a folder, started. `throwAway`: nothing is synced to disk, for the demo. */
export async function provideEmbedded (
  dataDir: string, log: BaseLogger, options: Pick<EmbeddedOptions, 'throwAway' | 'connectionsMax'> = {}
): Promise<Provided> {
  const { connection, stop } = await startEmbedded({
    dataDir, isReady: canConnect, log: (message, detail) => log.info(detail ?? {}, message), ...options
  })
  return { ...await withServiceRole(connection), stop }
}

/** The same for a command, which joins the embedded database of a service that runs. */
export async function joinDatabase (config: Config, log: BaseLogger): Promise<Provided> {
  if (config.databaseUrl === undefined) {
    const connection = await joinEmbedded(config.dataDir ?? await findDataDir(process.cwd()))
    if (connection !== undefined) return { ...await withServiceRole(connection), stop: async () => {} }
  }
  return provideDatabase(config, log)
}

async function withServiceRole (owner: EmbeddedConnection): Promise<Omit<Provided, 'stop'>> {
  await ensureRole(owner, SERVICE_ROLE)
  return { owner, connection: { ...owner, user: SERVICE_ROLE } }
}

async function reach (variable: string, connectionString: string): Promise<Connection> {
  const connection = { connectionString }
  const failed = await tryConnection(connection)
  if (failed === undefined) return connection
  throw new Error(`The database of ${variable} cannot be used: ${failed.message}. Check that PostgreSQL runs there, that the database exists, and the user and password.`, { cause: failed })
}
