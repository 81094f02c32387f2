// The first of several processes keeps its workers: it starts them, takes another for one that ended or does not answer,
// asks all for what they measure, and ends them. What a worker does stands in workers.ts.
import cluster, { type Worker } from 'node:cluster'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Connection } from './db/client.ts'
import { expose, type Measured } from './metrics.ts'

/** Another takes the place of one that ended after this; each further one after twice as long, up to the most, ms. */
const RESTART_AFTER_MS = 100
const RESTART_AFTER_MAX_MS = 10_000
/** Of one that had lived that long the next follows soon again, ms. */
const STEADY_MS = 60_000
/** Each worker is asked so often whether it is there, ms, and killed when it did not answer so many times in a row: no call takes as long. */
const PING_MS = 2_000
const UNANSWERED_MAX = 5
/** What a worker measures is waited for no longer than this, ms: more than reading the tables may take. */
const GATHER_MS = 1_000

/** What a worker asks for when it can hear, and is told. */
export interface Order { number: number, connection: Connection, port: number, hasJobs: boolean }

/** What a worker is told: what to do, to end, to say that it is there, to measure; and what all measured, when it asked. */
export type Told = { order: Order } | 'end' | 'ping' | { gathering: number, withTables: boolean } | { asked: number, text: string }

/**
 * What a worker says: first that it can hear, which what is sent earlier would be lost on; then where it listens; that it
 * is there; what it measured; that it wants to know what all measure.
 */
export type Said = 'hears' | { address: string } | 'pong' | { gathering: number, measured: Measured } | { asked: number }

interface Exit { code: number | null, signal: string | null }

interface Started {
  number: number
  startedAt: number
  worker: Worker
  /** Its address; undefined when it ended before it listened. */
  listening: Promise<string | undefined>
  exited: Promise<Exit>
  /** It listens. */
  ready: boolean
  /** How often in a row it was asked whether it is there and did not answer. */
  unanswered: number
}

/** The workers, each in its place. */
export interface Crew {
  /** Starts the worker of a number; resolves to its address. @throws Error when it ended before it listened */
  add: (number: number) => Promise<string>
  /** Tells all to end; resolves when nobody is left. */
  end: () => Promise<void>
}

/** Keeps each worker's place filled, until the end. */
export function openCrew (orderOf: (number: number) => Order, log: Logger): Crew {
  const ending = new AbortController()
  const working = new Map<number, Started>()
  const kept: Promise<void>[] = []
  const gatherings = new Map<number, (measured: Measured) => void>()
  let last = 0
  const pinging = setInterval(() => { for (const started of working.values()) ping(started) }, PING_MS)

  function start (number: number): Started {
    // Only the process that migrates needs to know the owner.
    const worker = cluster.fork({ DATABASE_OWNER_URL: '' })
    // What cannot be sent went to one that is gone, which its exit says.
    worker.on('error', () => {})
    const exited = new Promise<Exit>(resolve => { worker.once('exit', (code, signal) => { resolve({ code, signal }) }) })
    const told = new Promise<string>(resolve => {
      worker.on('message', (said: Said) => {
        if (said === 'hears') tell(worker, { order: orderOf(number) })
        else if (said === 'pong') started.unanswered = 0
        else if ('address' in said) {
          started.ready = true
          resolve(said.address)
        } else if ('measured' in said) gatherings.get(said.gathering)?.(said.measured)
        else answer(started, said.asked)
      })
    })
    const started: Started = {
      number, startedAt: performance.now(), worker, exited, listening: Promise.race([told, exited.then(() => undefined)]), ready: false, unanswered: 0
    }
    working.set(number, started)
    return started
  }

  /** What hangs is killed: a connection that it was given would wait for ever. */
  function ping (started: Started): void {
    if (!started.ready || ending.signal.aborted) return
    if (started.unanswered < UNANSWERED_MAX) {
      started.unanswered++
      tell(started.worker, 'ping')
    } else if (started.unanswered === UNANSWERED_MAX) {
      started.unanswered++
      log.error({ worker: started.number, seconds: PING_MS * UNANSWERED_MAX / 1_000 }, 'a worker does not answer, and is killed')
      started.worker.process.kill('SIGKILL')
    }
  }

  function answer (asker: Started, asked: number): void {
    gather(asker).then(
      text => { tell(asker.worker, { asked, text }) },
      (err: unknown) => { log.error({ err }, 'what the workers measure could not be told') })
  }

  /** What all that answer in time measure; what stands in the tables is told by `asker` alone. */
  async function gather (asker: Started): Promise<string> {
    const gathering = ++last
    const measured: Measured[] = []
    const asked = [...working.values()].filter(({ ready }) => ready)
    await new Promise<void>(resolve => {
      const late = setTimeout(resolve, GATHER_MS)
      gatherings.set(gathering, each => {
        if (measured.push(each) < asked.length) return
        clearTimeout(late)
        resolve()
      })
      for (const started of asked) tell(started.worker, { gathering, withTables: started === asker })
    })
    gatherings.delete(gathering)
    return expose(measured)
  }

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
      current = start(number)
      const address = await current.listening
      if (address !== undefined) log.info({ worker: number }, 'the new worker takes reports')
    }
  }

  return {
    async add (number) {
      const started = start(number)
      const address = await started.listening
      if (address === undefined) throw new Error('A worker ended before it took reports: what it said stands above.')
      kept.push(keep(number, started))
      return address
    },
    async end () {
      ending.abort()
      clearInterval(pinging)
      const left = [...working.values()]
      for (const { worker } of left) tell(worker, 'end')
      await Promise.all([...kept, ...left.map(({ exited }) => exited)])
    }
  }
}

function tell (worker: Worker, told: Told): void {
  if (worker.isConnected()) worker.send(told)
}
