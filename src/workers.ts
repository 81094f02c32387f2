// Several processes that take reports on one port: who starts them, takes another for one that ended, and ends them all.
// What each of them does stands in serve.ts; what they share, in the database and in Redis.
import cluster, { type Worker } from 'node:cluster'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import { prepareService } from './app.ts'
import type { Config } from './config.ts'
import { provideDatabase } from './database.ts'
import type { Connection } from './db/client.ts'
import { openLog } from './log.ts'
import { cannotListen, CLOSE_MS, endGracefully, serveHere } from './serve.ts'

/** The workers' end comes that much before ours, so that theirs is the last word about what was in flight, ms. */
const CLOSE_EARLIER_MS = 1_000
/** Another takes the place of one that ended after this; each further one after twice as long, up to the most, ms. */
const RESTART_AFTER_MS = 100
const RESTART_AFTER_MAX_MS = 10_000
/** Of one that had lived that long the next follows soon again, ms. */
const STEADY_MS = 60_000

/** Whether this process was started as one of several. */
export const isWorker = cluster.isWorker

/** What a worker asks for when it can hear, and is told. */
interface Order { number: number, connection: Connection, port: number, hasJobs: boolean }

/** What a worker says: first that it can hear, which what is sent earlier would be lost on; then where it listens. */
type Said = 'hears' | { address: string }

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
  const { number, connection, port, hasJobs } = await new Promise<Order>(resolve => {
    process.on('message', (message: Order | 'end') => { message === 'end' ? end() : resolve(message) })
    say('hears')
  })
  const log = openLog(config.logLevel, 1).child({ worker: number })
  const database = { connection, owner: undefined, stop: async () => {} }
  try {
    const serving = await serveHere({ ...config, port }, database, log, { hasJobs, closeMs: CLOSE_MS - CLOSE_EARLIER_MS })
    end = serving.end
    say({ address: serving.address })
  } catch (error) {
    // The channel to the first process would keep this one.
    process.stderr.write(`${(error as Error).message}\n`)
    process.exit(1)
  }
}

function say (said: Said): void {
  process.send?.(said)
}

/** A port that can be had: workers that each asked for any would be given another one once all of them had ended. */
async function findPort ({ host, port }: Config): Promise<number> {
  const server = createServer()
  try {
    server.listen({ host, port })
    await once(server, 'listening')
  } catch (error) {
    throw cannotListen({ host, port }, error as Error)
  }
  const found = (server.address() as AddressInfo).port
  server.close()
  await once(server, 'close')
  return found
}

interface Exit { code: number | null, signal: string | null }

interface Started {
  startedAt: number
  worker: Worker
  /** Its address; undefined when it ended before it listened. */
  listening: Promise<string | undefined>
  exited: Promise<Exit>
}

function start (order: Order): Started {
  // Only the process that migrates needs to know the owner.
  const worker = cluster.fork({ DATABASE_OWNER_URL: '' })
  // What cannot be sent went to one that is gone, which its exit says.
  worker.on('error', () => {})
  const exited = new Promise<Exit>(resolve => { worker.once('exit', (code, signal) => { resolve({ code, signal }) }) })
  const told = new Promise<string>(resolve => {
    worker.on('message', (said: Said) => { said === 'hears' ? worker.send(order) : resolve(said.address) })
  })
  return { startedAt: performance.now(), worker, exited, listening: Promise.race([told, exited.then(() => undefined)]) }
}

/** Keeps each worker's place filled, until the end. */
function openCrew (orderOf: (number: number) => Order, log: Logger): {
  /** Starts the worker of a number; resolves to its address. @throws Error when it ended before it listened */
  add: (number: number) => Promise<string>
  /** Tells all to end; resolves when nobody is left. */
  end: () => Promise<void>
} {
  const ending = new AbortController()
  const working = new Map<number, Started>()
  const kept: Promise<void>[] = []

  async function keep (number: number, first: Started): Promise<void> {
    let pauseMs = RESTART_AFTER_MS
    let current = first
    while (true) {
      const how = await current.exited
      working.delete(number)
      if (ending.signal.aborted) return
      if (performance.now() - current.startedAt > STEADY_MS) pauseMs = RESTART_AFTER_MS
      log.warn({ worker: number, ...how, pause_ms: pauseMs }, 'a worker ended; another takes its place')
      await delay(pauseMs, undefined, { signal: ending.signal }).catch(() => {})
      if (ending.signal.aborted) return
      pauseMs = Math.min(2 * pauseMs, RESTART_AFTER_MAX_MS)
      current = begin(number)
      const address = await current.listening
      if (address !== undefined) log.info({ worker: number }, 'the new worker takes reports')
    }
  }

  function begin (number: number): Started {
    const started = start(orderOf(number))
    working.set(number, started)
    return started
  }

  return {
    async add (number) {
      const started = begin(number)
      const address = await started.listening
      if (address === undefined) throw new Error('A worker ended before it took reports: what it said stands above.')
      kept.push(keep(number, started))
      return address
    },
    async end () {
      ending.abort()
      const left = [...working.values()]
      for (const { worker } of left) if (worker.isConnected()) worker.send('end')
      await Promise.all([...kept, ...left.map(({ exited }) => exited)])
    }
  }
}
