import { lookup } from 'node:dns/promises'
import closeWithGrace from 'close-with-grace'
import type { Logger } from 'pino'
import { openApp, type App, type AppOptions } from './app.ts'
import type { Config } from './config.ts'
import type { Provided } from './database.ts'

/** What is in flight gets this long to finish when the service is told to stop, ms. */
export const CLOSE_MS = 10_000
/**
 * Connections that may wait to be taken: all of a crowd that comes at once. Of Node's 511 the others were heard seconds
 * later, when they tried again; more than the kernel lets it (`net.core.somaxconn`) do not wait.
 */
const BACKLOG = 4_096

/** A process that takes reports. */
export interface Serving {
  /** `http://host:port` */
  address: string
  measure: App['measure']
  /** Ends the process as a signal does; nothing when it is ending already. */
  end: () => void
}

/**
 * Opens the app in this process and listens, until a signal or `end`: then it finishes what is in flight, lets go of the
 * database and exits with 0.
 * @param database without an owner where it was prepared before.
 * @param share what differs for one of several: which it is, whether the jobs run here, and how long the end may take, ms.
 * @throws Error when the app cannot be opened, or nobody can listen there; nothing is left open then.
 */
export async function serveHere (
  config: Config, database: Omit<Provided, 'owner'> & { owner: Provided['owner'] | undefined }, log: Logger,
  share: { worker?: AppOptions['worker'], hasJobs: boolean, closeMs: number } = { hasJobs: true, closeMs: CLOSE_MS }
): Promise<Serving> {
  const { connection, owner, stop } = database
  const app = await openApp({ ...config, connection, owner, clock: { now: () => new Date(), speed: 1 }, logger: log, ticking: share.hasJobs, worker: share.worker })
    .catch(async (error: unknown) => {
      await stop()
      throw error
    })
  const signals = endGracefully(log, share.closeMs, async () => {
    await app.close()
    await stop()
  })
  try {
    return { address: await app.http.listen({ host: await findAddress(config.host), port: config.port, backlog: BACKLOG }), measure: app.measure, end: signals.end }
  } catch (error) {
    signals.uninstall()
    await app.close()
    await stop()
    throw cannotListen(config, error as Error)
  }
}

/**
 * The address that HOST names, of several an IPv4 one. For "localhost" Fastify would make one more server for each further
 * address, and that one has none of our limits.
 */
export async function findAddress (host: string): Promise<string> {
  return (await lookup(host, { verbatim: false })).address
}

/** What a person is told when the port is not to be had. */
export function cannotListen ({ host, port }: Pick<Config, 'host' | 'port'>, cause: Error): Error {
  return new Error(`It cannot listen on HOST ${host}, PORT ${port}: ${cause.message}. Set another, or stop what is there.`, { cause })
}

/** Runs `work` once, at a signal, at an error that nobody handles or by `end`, and exits; after `closeMs` in any case. */
export function endGracefully (log: Logger, closeMs: number, work: () => Promise<void>): { end: () => void, uninstall: () => void } {
  let ending = false
  const signals = closeWithGrace({ delay: closeMs, logger: { error: message => log.error(message) } }, async ({ signal, err }) => {
    ending = true
    if (err !== undefined) log.fatal({ err }, 'stopping after an error that nobody handled')
    else log.info({ signal }, 'stopping: what is in flight is finished first')
    await work()
  })
  return {
    end () {
      if (!ending) signals.close()
    },
    uninstall: signals.uninstall
  }
}
