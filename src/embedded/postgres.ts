// The zero-configuration database: starts, watches, restarts, joins and stops a PostgreSQL of our own, on a socket only.
// Folders, account and binaries are in ground.ts; connecting is the caller's (`isReady`).
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import {
  EmbeddedError, ENVIRONMENT, PORT, answers, chooseSocketFolder, ensureData, findBinaries, findProcess, isAlive, lastLines,
  prepareGround, readPostmaster, type Ground
} from './ground.ts'

export { EmbeddedError, defaultDataDir, findDataDir } from './ground.ts'

/** Where pg connects. `host` is the socket's folder; port and ssl are said so that PG… variables cannot change them. */
export interface EmbeddedConnection { host: string, port: number, user: string, database: string, ssl: false }

/** A running embedded database. It is restarted when it ends by itself; `connection` stays the same. */
export interface EmbeddedPostgres {
  connection: EmbeddedConnection
  /** Ends it in order: connections are cut, everything acknowledged is on disk. Safe to call twice. */
  stop (): Promise<void>
}

/** What the caller hands in. */
export interface EmbeddedOptions {
  /** The state folder; made if missing, and given to PostgreSQL's account alone (mode 0700). */
  dataDir: string
  /** Tries once to connect; false while nobody answers. It must not hang or throw. */
  isReady: (connection: EmbeddedConnection) => Promise<boolean>
  /** Told of what an operator should know: created, ended by itself, running again. */
  log: (message: string, detail?: object) => void
  /** For tests and the demo: nothing is synced to disk, so a power cut loses everything. */
  throwAway?: boolean
  /** Connections at once, when they may be more than PostgreSQL's usual 100. */
  connectionsMax?: number
}

/** PostgreSQL's own default of `max_connections`. */
const CONNECTIONS_USUAL = 100
const READY_POLL_MS = 20
const SETTLE_POLL_MS = 20
/** Recovery after a crash reads the log since the last checkpoint; longer than this it does not take. */
const READY_WITHIN_MS = 600_000
const STOP_WITHIN_MS = 30_000
const SETTLE_WITHIN_MS = 30_000
const JOIN_WITHIN_MS = 15_000
/** How long a first start waits for the processes of a killed one to be gone. */
const LEFTOVERS_WITHIN_MS = 10_000
const RESTART_AFTER_MS = 100
const RESTART_AFTER_MAX_MS = 10_000
/** Having lived that long, it is restarted at once again. */
const STEADY_MS = 60_000

/**
 * The shell between us and PostgreSQL, $0 naming us. Our end of its stdin closes when we die, however we die; then it
 * asks PostgreSQL for a fast shutdown, so no orphan stays. It ignores signals meant for a whole group.
 */
const WATCHDOG = `trap '' HUP INT TERM
exec 3<&0
"$@" 3<&- </dev/null & p=$!
{ read -r _ <&3; kill -INT $p; } 2>/dev/null & w=$!
wait $p; r=$?
kill -KILL $w 2>/dev/null
exit $r`

/**
 * Starts the embedded database in `dataDir`, creating it first if need be (about a second), and resolves once it takes
 * connections. If it ends by itself it is started again, at once and then with growing pauses, until `stop`.
 * @throws EmbeddedError `in-use` when another process runs it, `unsupported` on a platform without binaries, `unusable`
 * when the folder or its data cannot be used; each message says what to do.
 */
export async function startEmbedded (options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const ground = await prepareGround(options.dataDir)
  await settle(ground)
  const binaries = await findBinaries(ground)
  if (await ensureData(ground, binaries, { throwAway: options.throwAway === true })) {
    options.log('created the embedded database', { folder: ground.data })
  }
  const socket = await chooseSocketFolder(ground)
  const forget = async () => { if (socket !== ground.state) await rm(socket, { recursive: true, force: true }) }
  const keeper = new Keeper(ground, join(binaries, 'bin/postgres'), connectionTo(socket), options)
  try {
    await keeper.start()
  } catch (error) {
    await forget()
    throw error
  }
  return { connection: keeper.connection, stop: async () => { await keeper.stop(); await forget() } }
}

/**
 * The connection to an embedded database that another process runs in `dataDir`, or undefined when none runs there.
 * Waits for one that is just starting. It ends when that process stops it.
 * @throws EmbeddedError `unusable` when the folder is another user's.
 */
export async function joinEmbedded (dataDir: string): Promise<EmbeddedConnection | undefined> {
  for (let waitedMs = 0; waitedMs < JOIN_WITHIN_MS; waitedMs += SETTLE_POLL_MS) {
    const running = await readPostmaster(join(dataDir, 'data'))
    if (running === undefined || await findProcess(running.pid) === undefined) return undefined
    if (running.status === 'ready') return await answers(running.socket) ? connectionTo(running.socket) : undefined
    await delay(SETTLE_POLL_MS)
  }
  throw new EmbeddedError('unusable', `The database in ${dataDir} has been starting or stopping for ${JOIN_WITHIN_MS / 1_000} s: try again later, or look at the service's log.`)
}

function connectionTo (socket: string): EmbeddedConnection {
  return { host: socket, port: PORT, user: 'groundswell', database: 'groundswell', ssl: false }
}

/**
 * Sees to it that nobody runs a database in our data folder: refuses when a living process of ours does, and waits for,
 * or ends, one whose process was killed.
 */
async function settle ({ data }: Ground): Promise<void> {
  const running = await readPostmaster(data)
  if (running === undefined) return
  const found = await findProcess(running.pid)
  if (found === undefined || !found.command.includes(`-D ${data} `)) {
    // Not seen and yet answering: a container that shares this folder has process ids of its own.
    if (running.socket !== '' && await answers(running.socket)) throw inUse(data)
    // The number went to another process, or nobody reaps the dead one: PostgreSQL itself would refuse for ever.
    if (isAlive(running.pid)) await rm(join(data, 'postmaster.pid'), { force: true })
    return
  }
  const watchdog = await findProcess(found.parent)
  const owner = / groundswell:(\d+) /.exec(watchdog?.command ?? '')?.[1]
  if (owner !== undefined && Number(owner) === watchdog?.parent) throw inUse(data, Number(owner))
  // Without a watchdog nobody else will end it; with one whose owner is dead, it is being ended.
  if (owner === undefined) signal(running.pid, 'SIGINT')
  if (await isGone(running.pid, SETTLE_WITHIN_MS)) return
  signal(running.pid, 'SIGQUIT')
  if (!await isGone(running.pid, SETTLE_WITHIN_MS)) {
    throw new EmbeddedError('in-use', `A PostgreSQL left behind in ${data} (process ${running.pid}) does not end: end it, then start again.`)
  }
}

function inUse (data: string, owner?: number): EmbeddedError {
  const who = owner === undefined ? 'another process' : `process ${owner}`
  return new EmbeddedError('in-use', `The database in ${data} is already run by ${who}: stop that first, or set DATA_DIR to another folder.`)
}

function signal (pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch {
    // Gone already.
  }
}

async function isGone (pid: number, withinMs: number): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < withinMs; waitedMs += SETTLE_POLL_MS) {
    if (await findProcess(pid) === undefined) return true
    await delay(SETTLE_POLL_MS)
  }
  return false
}

/** One PostgreSQL, kept alive from `start` to `stop`. */
class Keeper {
  readonly connection: EmbeddedConnection
  readonly #ground: Ground
  readonly #program: string
  readonly #options: EmbeddedOptions
  readonly #stopping = new AbortController()
  #child: ChildProcess | undefined
  #ended: Promise<unknown> = Promise.resolve()
  #kept: Promise<void> = Promise.resolve()
  #said = ''

  constructor (ground: Ground, program: string, connection: EmbeddedConnection, options: EmbeddedOptions) {
    this.#ground = ground
    this.#program = program
    this.connection = connection
    this.#options = options
  }

  async start (): Promise<void> {
    const until = performance.now() + LEFTOVERS_WITHIN_MS
    while (!await this.#launch()) {
      // The processes of one that was killed hold on to its memory a moment; another may also have been quicker than we.
      await settle(this.#ground)
      if (!/pre-existing shared memory|lock file ".*" already exists/.test(this.#said) || performance.now() > until) {
        throw new EmbeddedError('unusable', `The embedded database in ${this.#ground.data} does not start: ${lastLines(this.#said)}`)
      }
      await delay(RESTART_AFTER_MS)
    }
    this.#kept = this.#keep()
  }

  async stop (): Promise<void> {
    this.#stopping.abort()
    this.#child?.stdin?.end()
    const late = setTimeout(() => {
      readPostmaster(this.#ground.data).then(running => { if (running !== undefined) signal(running.pid, 'SIGQUIT') }, () => {})
    }, STOP_WITHIN_MS)
    await this.#kept.finally(() => { clearTimeout(late) })
  }

  /** Starts it whenever it has ended, until somebody asks us to stop. */
  async #keep (): Promise<void> {
    let pauseMs = RESTART_AFTER_MS
    let startedAt = performance.now()
    while (true) {
      await this.#ended
      if (this.#stopping.signal.aborted) return
      if (performance.now() - startedAt > STEADY_MS) pauseMs = RESTART_AFTER_MS
      this.#options.log('the embedded database ended by itself, starting it again', { pauseMs, said: lastLines(this.#said) })
      await delay(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => {})
      if (this.#stopping.signal.aborted) return
      pauseMs = Math.min(pauseMs * 2, RESTART_AFTER_MAX_MS)
      startedAt = performance.now()
      try {
        await settle(this.#ground)
        if (await this.#launch()) this.#options.log('the embedded database runs again', { afterMs: Math.round(performance.now() - startedAt) })
      } catch (error) {
        this.#options.log('the embedded database could not be started again', { reason: String(error) })
      }
    }
  }

  /** True once it takes connections, false when it ended before. */
  async #launch (): Promise<boolean> {
    if (this.#stopping.signal.aborted) return false
    this.#said = ''
    const child = spawn('/bin/sh', ['-c', WATCHDOG, `groundswell:${process.pid}`, this.#program, ...this.#settings()], {
      ...this.#ground.account, cwd: this.#ground.state, env: ENVIRONMENT, detached: true, stdio: ['pipe', 'ignore', 'pipe']
    })
    child.stdin.on('error', () => {})
    child.stderr.on('data', chunk => { this.#hear(String(chunk)) })
    this.#child = child
    const life = { ended: false }
    // What it said is complete at `close`; a descendant that keeps the pipe open must not keep us, so `exit` counts.
    this.#ended = Promise.race([once(child, 'exit'), once(child, 'error')]).catch((error: Error) => { this.#said += error.message }).then(async () => {
      life.ended = true
      child.stdin.destroy()
      await delay(READY_POLL_MS)
    })
    const until = performance.now() + READY_WITHIN_MS
    while (!life.ended && performance.now() < until && !this.#stopping.signal.aborted) {
      if (await Promise.race([this.#options.isReady(this.connection), this.#ended.then(() => false)]) && await this.#isOurs(child)) return true
      await delay(READY_POLL_MS)
    }
    child.stdin.end()
    await this.#ended
    return false
  }

  /** Whether it was our child that answered: on the same socket another process may have been quicker. */
  async #isOurs (child: ChildProcess): Promise<boolean> {
    const running = await readPostmaster(this.#ground.data)
    return running !== undefined && (await findProcess(running.pid))?.parent === child.pid
  }

  #settings (): string[] {
    return ['-D', this.#ground.data, ...Object.entries({
      listen_addresses: '',
      unix_socket_directories: this.connection.host,
      unix_socket_permissions: '0700',
      port: String(PORT),
      max_connections: String(Math.max(CONNECTIONS_USUAL, this.#options.connectionsMax ?? 0)),
      // PostgreSQL's messages quote the values of failing statements: keep those out of every log.
      log_min_messages: 'log',
      log_min_error_statement: 'panic',
      log_error_verbosity: 'terse',
      ...(this.#options.throwAway === true ? { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' } : {})
    }).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
  }

  #hear (text: string): void {
    this.#said = (this.#said + text).slice(-4_000)
    for (const line of text.split('\n')) {
      if (/(PANIC|FATAL): {2}/.test(line) && !/the database system is|terminating|does not exist|already exists/.test(line)) {
        this.#options.log('the embedded database complains', { line })
      }
    }
  }
}
