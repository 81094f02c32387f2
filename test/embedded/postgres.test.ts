// The embedded database under violence: real processes, really killed.
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import t, { type Test } from 'tap'
import ts from 'typescript'
import { findProcess } from '../../src/embedded/ground.ts'
import { defaultDataDir, joinEmbedded, startEmbedded, type EmbeddedConnection, type EmbeddedPostgres } from '../../src/embedded/postgres.ts'
import { canConnect } from '../../src/db/client.ts'
import { makeStateFolder } from '../database.ts'

const isRoot = process.getuid?.() === 0
const NOBODY = 65_534

const SEED = await makeStateFolder(t)
await (await startEmbedded({ dataDir: SEED, isReady: canConnect, log: () => {}, throwAway: true })).stop()

/** A state folder that was used before: a copy costs a tenth of a first start. */
async function makeUsedFolder (t: Test): Promise<string> {
  const folder = await makeStateFolder(t)
  await promisify(execFile)('cp', ['-Rp', join(SEED, 'data'), folder])
  return folder
}

/** Starts it in this process; stopped when `t` ends. */
async function start (t: Test, dataDir: string, options: { throwAway: boolean } = { throwAway: true }): Promise<EmbeddedPostgres & { logged: string[] }> {
  const logged: string[] = []
  const running = await startEmbedded({ dataDir, isReady: canConnect, log: message => { logged.push(message) }, ...options })
  t.teardown(running.stop)
  return { ...running, logged }
}

/** What children run: the embedded database's files as plain JavaScript, so that a child needs no compiler and no tap. */
const COMPILED = join(process.cwd(), '.tap', `embedded-${process.pid}`)
t.teardown(() => rm(COMPILED, { recursive: true, force: true }))
await mkdir(COMPILED, { recursive: true })
for (const name of ['postgres', 'ground']) {
  const source = await readFile(new URL(`../../src/embedded/${name}.ts`, import.meta.url), 'utf8')
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, rewriteRelativeImportExtensions: true }
  })
  await writeFile(join(COMPILED, `${name}.js`), outputText)
}
await writeFile(join(COMPILED, 'serve.js'), `
  import pg from 'pg'
  import { startEmbedded } from './postgres.js'
  const isReady = async connection => {
    const client = new pg.Client(connection)
    client.on('error', () => {})
    return client.connect().then(() => client.end()).then(() => true, () => false)
  }
  try {
    const running = await startEmbedded({ dataDir: process.argv[2], isReady, log: () => {}, throwAway: true })
    process.on('SIGTERM', () => running.stop().then(() => process.exit(0)))
    console.log(JSON.stringify(running.connection))
  } catch (error) {
    console.log(JSON.stringify({ refused: error.reason, message: error.message }))
  }`)

type Answer = EmbeddedConnection & { refused?: string, message?: string }

/** Starts it in a process of its own, as the user `uid` if given; killed when `t` ends. */
async function serve (t: Test, dataDir: string, uid?: number): Promise<{ child: ChildProcess, answer: Answer }> {
  // `env -i` takes away what tap adds to every spawned node: a recorder that a child of another user cannot feed.
  const child = spawn('/usr/bin/env', ['-i', process.execPath, join(COMPILED, 'serve.js'), dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'], ...(uid === undefined ? {} : { uid, gid: uid })
  })
  t.teardown(() => child.kill('SIGKILL'))
  const [line] = await Promise.race([
    once(createInterface(child.stdout), 'line', { signal: AbortSignal.timeout(20_000) }),
    once(child, 'exit').then(() => delay(100)).then(() => { throw new Error('the child ended without a word') })
  ])
  return { child, answer: JSON.parse(line) }
}

/** Asks until the answer is defined, for at most ten seconds. */
async function eventually<T> (ask: () => Promise<T | undefined>, what: string): Promise<T> {
  for (let tries = 0; tries < 500; tries++) {
    const answer = await ask()
    if (answer !== undefined) return answer
    await delay(20)
  }
  throw new Error(`not within 10 s: ${what}`)
}

async function query (connection: EmbeddedConnection, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client(connection)
  client.on('error', () => {})
  await client.connect()
  return client.query(text).finally(() => client.end())
}

async function readPid (dataDir: string): Promise<number> {
  return Number((await readFile(join(dataDir, 'data/postmaster.pid'), 'utf8')).split('\n')[0])
}

/** The parent's id of a living process, undefined when there is none. */
async function findParent (pid: number): Promise<number | undefined> {
  return (await findProcess(pid))?.parent
}

async function gone (pid: number): Promise<true> {
  return eventually(async () => await findParent(pid) === undefined ? true : undefined, `process ${pid} gone`)
}

t.test('starts in an empty folder that only its account may enter, and keeps what was written', async t => {
  const folder = await makeStateFolder(t)
  const first = await start(t, folder)
  await query(first.connection, "create table kept as select 'still here' as word")
  t.equal((await stat(folder)).mode & 0o777, 0o700)
  t.same((await query(first.connection, 'show listen_addresses')).rows, [{ listen_addresses: '' }])
  await first.stop()
  t.notOk(await canConnect(first.connection))
  const second = await start(t, folder)
  t.same((await query(second.connection, 'select word from kept')).rows, [{ word: 'still here' }])
  t.same([first.logged, second.logged], [['created the embedded database'], []])
})

t.test('when PostgreSQL is killed it runs again by itself, with what was committed', async t => {
  const folder = await makeUsedFolder(t)
  const { connection, logged } = await start(t, folder, { throwAway: false })
  await query(connection, 'create table kept as select 1 as number')
  const pid = await readPid(folder)
  process.kill(pid, 'SIGKILL')
  await gone(pid)
  await eventually(async () => await canConnect(connection) || undefined, 'connections again')
  t.same((await query(connection, 'select number from kept')).rows, [{ number: 1 }])
  t.not(await readPid(folder), pid)
  await eventually(async () => logged.at(-1) === 'the embedded database runs again' || undefined, 'it says so')
})

t.test('stopping while it is being restarted ends it', async t => {
  const folder = await makeUsedFolder(t)
  const { connection, stop } = await start(t, folder)
  process.kill(await readPid(folder), 'SIGKILL')
  await stop()
  t.notOk(await canConnect(connection))
})

t.test('a second start in the same folder is refused with what to do, and others join the first', async t => {
  const folder = await makeUsedFolder(t)
  t.equal(await joinEmbedded(folder), undefined)
  const { connection } = await start(t, folder)
  await t.rejects(startEmbedded({ dataDir: folder, isReady: canConnect, log: () => {} }), {
    reason: 'in-use', message: new RegExp(`is already run by process ${process.pid}: stop that first, or set DATA_DIR`)
  })
  const { answer } = await serve(t, folder)
  t.match(answer, { refused: 'in-use' })
  t.same(await joinEmbedded(folder), connection)
  t.ok(await canConnect(connection), 'the first is unharmed')
})

t.test('two first starts at once: one runs, the other is refused', async t => {
  const folder = await makeStateFolder(t)
  const [one, two] = await Promise.all([serve(t, folder), serve(t, folder)])
  const refused = [one.answer, two.answer].filter(answer => answer.refused !== undefined)
  t.same(refused.map(answer => answer.refused), ['in-use'])
  t.ok(await joinEmbedded(folder))
})

t.test('when its process is killed PostgreSQL ends too, and the next start finds everything', async t => {
  const folder = await makeUsedFolder(t)
  const { child, answer } = await serve(t, folder)
  await query(answer, 'create table kept as select 1 as number')
  const pid = await readPid(folder)
  child.kill('SIGKILL')
  await once(child, 'exit')
  const { connection } = await start(t, folder)   // at once, while the killed one's PostgreSQL may still be ending
  t.same((await query(connection, 'select number from kept')).rows, [{ number: 1 }])
  await gone(pid)
})

t.test('a PostgreSQL that lost its process and its watchdog is taken over', async t => {
  const folder = await makeUsedFolder(t)
  const { child, answer } = await serve(t, folder)
  await query(answer, 'create table kept as select 1 as number')
  const pid = await readPid(folder)
  const watchdog = await findParent(pid)
  child.kill('SIGSTOP')   // or it would take over itself
  process.kill(watchdog ?? 0, 'SIGKILL')
  child.kill('SIGKILL')
  await eventually(async () => await findParent(pid) !== watchdog || undefined, 'orphaned')
  const { connection } = await start(t, folder)
  t.same((await query(connection, 'select number from kept')).rows, [{ number: 1 }])
  t.equal(await findParent(pid), undefined)
})

t.test('a postmaster.pid left behind does not matter, even when its number lives on in another process', async t => {
  const folder = await makeUsedFolder(t)
  await (await start(t, folder)).stop()
  await writeFile(join(folder, 'data/postmaster.pid'), `${process.pid}\n${folder}/data\n1\n5432\n${folder}\n\n\nready\n`)
  t.equal(await joinEmbedded(folder), undefined)
  const { connection } = await start(t, folder)
  t.ok(await canConnect(connection))
})

t.test('a folder whose path is too long for a socket works, and is found by those who join', async t => {
  const outer = await makeStateFolder(t)
  if (isRoot) await chmod(outer, 0o711)
  const folder = join(outer, 'long'.repeat(25))
  const { connection, stop } = await start(t, folder)
  t.not(connection.host, folder)
  t.equal((await stat(connection.host)).mode & 0o777, 0o700)
  t.same(await joinEmbedded(folder), connection)
  await stop()
  await t.rejects(stat(connection.host), { code: 'ENOENT' }, 'nothing is left in the temporary folder')
})

t.test('an ordinary user runs it as itself', { skip: !isRoot && 'every other test here does' }, async t => {
  const folder = await makeStateFolder(t)
  await chown(folder, NOBODY, NOBODY)
  if (!await readable(NOBODY)) return t.pass('this checkout is out of an ordinary user\'s reach')
  const { child, answer } = await serve(t, folder, NOBODY)
  t.equal(answer.message, undefined)
  t.ok(await canConnect(answer))
  const pid = await readPid(folder)
  child.kill('SIGTERM')
  t.same(await once(child, 'exit'), [0, null])
  t.equal(await findParent(pid), undefined)
  const { connection } = await start(t, folder)
  t.ok(await canConnect(connection), 'root takes over what an ordinary user made')
})

async function readable (uid: number): Promise<boolean> {
  const child = spawn('/bin/sh', ['-c', 'cat "$1"', 'sh', join(COMPILED, 'serve.js')], { uid, gid: uid, stdio: 'ignore' })
  return (await once(child, 'exit'))[0] === 0
}

t.test('folders that are not for it are refused, untouched', async t => {
  const outer = await makeStateFolder(t)
  if (isRoot) await chmod(outer, 0o711)
  const refuse = (dataDir: string, message: RegExp) =>
    t.rejects(startEmbedded({ dataDir, isReady: canConnect, log: () => {} }), { reason: 'unusable', message })

  const full = join(outer, 'full')
  await mkdir(full, { mode: 0o755 })
  await writeFile(join(full, 'letter.txt'), 'dear')
  await refuse(full, /holds other files.*set DATA_DIR/)
  t.equal((await stat(full)).mode & 0o777, 0o755)

  const old = join(outer, 'old')
  await mkdir(join(old, 'data'), { recursive: true })
  await writeFile(join(old, 'data/PG_VERSION'), '17\n')
  await refuse(old, /of PostgreSQL 17, and this release brings PostgreSQL 18/)

  await refuse(join(full, 'letter.txt'), /cannot be used \(E[A-Z]+\)/)
  if (isRoot) {
    const closed = join(outer, 'closed')
    await mkdir(closed, { mode: 0o700 })
    await refuse(join(closed, 'state'), /may not enter .*closed: set DATA_DIR/)
  }
})

t.test('what stops PostgreSQL from starting is said', async t => {
  const folder = await makeUsedFolder(t)
  await (await start(t, folder)).stop()
  await writeFile(join(folder, 'data/postgresql.conf'), 'no_such_setting = 1\n')
  await t.rejects(startEmbedded({ dataDir: folder, isReady: canConnect, log: () => {} }), {
    reason: 'unusable', message: /does not start: .*unrecognized configuration parameter "no_such_setting"/
  })
})

t.test('the state folder is ./data, except for root where nobody may not enter', async t => {
  const facts = { isRoot: false, cwd: '/srv/app', nobodyMayEnter: false }
  t.equal(defaultDataDir(facts), '/srv/app/data')
  t.equal(defaultDataDir({ ...facts, isRoot: true }), '/var/lib/groundswell')
  t.equal(defaultDataDir({ ...facts, isRoot: true, nobodyMayEnter: true }), '/srv/app/data')
})
