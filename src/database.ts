import type { Logger } from 'pino'
import type { Config } from './config.ts'
import { canConnect, tryConnection, type Connection } from './db/client.ts'
import { findDataDir } from './embedded/ground.ts'
import { joinEmbedded, startEmbedded } from './embedded/postgres.ts'

/** A database that can be connected to, and how to let go of it. */
export interface Provided { connection: Connection, stop: () => Promise<void> }

/**
 * The database of the configuration: one's own by DATABASE_URL, else the embedded one in DATA_DIR, started.
 * @throws EmbeddedError when another process already runs it there; Error when one's own cannot be reached.
 */
export async function provideDatabase (config: Config, log: Logger): Promise<Provided> {
  if (config.databaseUrl !== undefined) {
    const connection = { connectionString: config.databaseUrl }
    const failed = await tryConnection(connection)
    if (failed === undefined) return { connection, stop: async () => {} }
    throw new Error(`The database of DATABASE_URL cannot be used: ${failed.message}. Check that PostgreSQL runs there, that the database exists, and the user and password.`, { cause: failed })
  }
  const dataDir = config.dataDir ?? await findDataDir(process.cwd())
  log.info({ data_dir: dataDir }, 'the embedded database keeps its files here')
  const { connection, stop } = await startEmbedded({
    dataDir, isReady: canConnect, log: (message, detail) => log.info(detail ?? {}, message)
  })
  return { connection, stop }
}

/** The same for a command, which joins the embedded database of a service that runs. */
export async function joinDatabase (config: Config, log: Logger): Promise<Provided> {
  if (config.databaseUrl === undefined) {
    const connection = await joinEmbedded(config.dataDir ?? await findDataDir(process.cwd()))
    if (connection !== undefined) return { connection, stop: async () => {} }
  }
  return provideDatabase(config, log)
}
