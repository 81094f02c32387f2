// Several processes that take reports on one port: what the first does, and what each worker does as it is told by it.
// How the first keeps their places filled stands in crew.ts; what they share, in the database and in Redis.
import cluster from 'node:cluster'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { prepareService } from './app.ts'
import type { Config } from './config.ts'
import { openCrew, type Order, type Said, type Told } from './crew.ts'
import { provideDatabase } from './database.ts'
import { openLog } from './log.ts'
import { cannotListen, CLOSE_MS, endGracefully, findAddress, serveHere, type Serving } from './serve.ts'

/** The workers' end comes that much before ours, so that theirs is the last word about what was in flight, ms. */
const CLOSE_EARLIER_MS = 1_000
/** Whether this process was started as one of several. */
export const isWorker = cluster.isWorker

/**
 * Starts WORKERS processes on one port and one database, which this one prepares and alone knows the owner of; `ready` is
 * said once all of them listen. The first has the jobs. When this process is killed the others end by themselves.
 * @throws Error when nobody can listen there, or one of them could not begin.
 */
export async function serveWithWorkers (config: Config): Promise<void> {
  const log = openLog(config.logLevel, 1)
  const port = await findPort(config)
  const { connection, owner, stop } = await provideDatabase(config, log)
  const crew = openCrew(number => ({ number, connection, port, hasJobs: number === 1 }), log)
  try {
    await prepareService({ connection, owner }, config.retentionDays, new Date(), log)
    // The first alone: what is wrong with all of them is said once.
    const address = await crew.add(1)
    await Promise.all(Array.from({ length: config.workers - 1 }, (_, i) => crew.add(i + 2)))
    endGracefully(log, CLOSE_MS, async () => {
      await crew.end()
      await stop()
    })
    log.info({ address, docs: `${address}/docs`, workers: config.workers }, 'ready')
  } catch (error) {
    await crew.end()
    await stop()
    throw error
  }
}

/** One of several: does as it is told, and ends when it is told so or nobody is there to tell it. */
export async function serveAsWorker (config: Config): Promise<void> {
  // Until it serves nothing is in flight.
  let end = (): void => { process.exit(0) }
  let measure: Serving['measure'] = async () => []
  const measureFor = ({ gathering, withTables }: { gathering: number, withTables: boolean }) => {
    // Without an answer the first process tells what the others measure.
    measure(withTables).then(measured => say({ gathering, measured }), () => {})
  }
  const { exposeAll, hear } = askForMeasures()
  const { number, connection, port, hasJobs } = await new Promise<Order>(resolve => {
    process.on('message', (told: Told) => {
      if (told === 'end') end()
      else if (told === 'ping') say('pong')
      else if ('order' in told) resolve(told.order)
      else if ('text' in told) hear(told)
      else measureFor(told)
    })
    say('hears')
  })
  const log = openLog(config.logLevel, 1).child({ worker: number })
  const database = { connection, owner: undefined, stop: async () => {} }
  try {
    const serving = await serveHere({ ...config, port }, database, log, { worker: { number, exposeAll }, hasJobs, closeMs: CLOSE_MS - CLOSE_EARLIER_MS })
    end = serving.end
    measure = serving.measure
    say({ address: serving.address })
  } catch (error) {
    // The channel to the first process would keep this one.
    process.stderr.write(`${(error as Error).message}\n`)
    process.exit(1)
  }
}

/** Asks the first process, which alone can ask all, for what all of them measure. */
function askForMeasures (): { exposeAll: () => Promise<string>, hear: (answer: { asked: number, text: string }) => void } {
  const waiting = new Map<number, (text: string) => void>()
  let last = 0
  return {
    exposeAll: () => new Promise(resolve => {
      waiting.set(++last, resolve)
      say({ asked: last })
    }),
    hear ({ asked, text }) {
      waiting.get(asked)?.(text)
      waiting.delete(asked)
    }
  }
}

function say (said: Said): void {
  process.send?.(said)
}

/** A port that can be had: workers that each asked for any would be given another one once all of them had ended. */
async function findPort ({ host, port }: Config): Promise<number> {
  const server = createServer()
  try {
    server.listen({ host: await findAddress(host), port })
    await once(server, 'listening')
  } catch (error) {
    throw cannotListen({ host, port }, error as Error)
  }
  const found = (server.address() as AddressInfo).port
  server.close()
  await once(server, 'close')
  return found
}
