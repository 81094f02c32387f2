// PostgreSQL stops answering, or is not there at all: callers are told so within three seconds, and all resumes by itself.
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { MINUTE_MS } from '../../src/core/time.ts'
import { startEmbedded } from '../../src/embedded/postgres.ts'
import { addressOf, openTestApp } from '../app.ts'
import { canConnect, type Connection } from '../../src/db/client.ts'
import { makeStateFolder } from '../database.ts'
import { ask, audit, embeddedIn, eventually, readPostmasterPid, startLoad, startService, type Load } from './processes.ts'

const PEOPLE = 24
/** What a caller waits at most to hear that the database does not answer, ms. */
const TOLD_WITHIN_MS = 3_000
/** Summaries are answered out of memory for a second. */
const HELD_MS = 1_200
const READS = ['/readyz', '/v1/services', '/v1/services/imessage', '/v1/services/imessage/curve', '/v1/services/imessage/breakdown?by=region', '/v1/outages']
const UNHARMED = { missing: [], double: [], uneven: [], untrue: [] }

/** A cluster of this test's own, to be taken away and brought back. */
async function openCluster (t: Test) {
  const dataDir = await makeStateFolder(t)
  const start = () => startEmbedded({ dataDir, isReady: canConnect, log: () => {}, throwAway: true })
  let running = await start()
  t.teardown(() => running.stop())
  return {
    dataDir,
    ...embeddedIn(dataDir),
    leave: () => running.stop(),
    async comeBack () { running = await start() }
  }
}

interface Told { call: string, status: number, atMs: number, ms: number, retryAfter: string | null, problem: string | undefined }

async function call (address: string, path: string, since = 0, options: RequestInit = {}): Promise<Told> {
  const askedAt = performance.now()
  const response = await fetch(address + path, { ...options, signal: AbortSignal.timeout(20_000) })
  const text = await response.text()
  const isProblem = response.headers.get('content-type')?.startsWith('application/problem+json') === true
  return {
    call: path,
    status: response.status,
    atMs: Math.round(askedAt - since),
    ms: Math.round(performance.now() - askedAt),
    retryAfter: response.headers.get('retry-after'),
    problem: isProblem ? JSON.parse(text).type : undefined
  }
}

/** Everybody asks everything at once, again and again for `forMs`: more than the pools have connections. */
async function askAll (address: string, forMs: number): Promise<Told[]> {
  const told: Promise<Told>[] = []
  const since = performance.now()
  for (; performance.now() < since + forMs; await delay(400)) {
    for (const path of READS) for (let i = 0; i < 5; i++) told.push(call(address, path, since))
    for (let i = 0; i < 5; i++) {
      told.push(call(address, '/v1/reports', since, {
        method: 'POST', body: JSON.stringify({ service: 'imessage', verdict: 'down', reporter: `${told.length}` }), headers: { 'content-type': 'application/json' }
      }))
    }
    told.push(call(address, '/healthz', since))
  }
  return Promise.all(told)
}

/** Of those who asked: all were told in time and in the proper form, and the process was seen to live. */
function checkTold (t: Test, told: readonly Told[], allowed: readonly number[]): void {
  const tell = (wrong: (told: Told) => boolean) => told.filter(wrong).map(told => JSON.stringify(told)).slice(0, 20)
  t.strictSame(tell(({ ms }) => ms > TOLD_WITHIN_MS), [], 'nobody waits longer than 3 s')
  t.strictSame(tell(({ call, status }) => call === '/healthz' && status !== 200), [], 'the process lives')
  t.strictSame(tell(({ call, status, atMs }) => call !== '/healthz' && !allowed.includes(status) &&
    !(call.startsWith('/v1/services') && atMs < HELD_MS && status === 200)), [])
  t.strictSame(tell(({ status, retryAfter, problem }) => status === 503 &&
    (retryAfter === null || !/^\/problems\/(unavailable|overloaded)$/.test(problem ?? ''))), [], 'in the proper form')
  t.comment(`${told.length} calls, the slowest ${Math.max(...told.map(({ ms }) => ms))} ms`)
}

/** Ends the load: nothing acknowledged was lost or doubled, and nobody who reported waited too long. */
async function checkUnharmed (t: Test, connection: Connection, address: string, load: Load): Promise<void> {
  await load.finish()
  const { acknowledged, stored, ...harm } = await audit(connection, address, load)
  t.strictSame(harm, UNHARMED)
  t.ok(stored >= acknowledged && acknowledged > 0)
  t.ok(load.slowestMs() <= TOLD_WITHIN_MS, `the slowest report took ${Math.round(load.slowestMs())} ms`)
}

async function resumes (address: string): Promise<true> {
  return eventually(async () => {
    const told = await Promise.all(READS.map(path => call(address, path)))
    return told.every(({ status }) => status === 200) ? true : undefined
  }, 'everything is answered again')
}

t.test('PostgreSQL goes away under load: 503 within 3 s, /healthz 200, and all resumes when it is back', async t => {
  const cluster = await openCluster(t)
  const service = await startService(t, { DATABASE_URL: cluster.url })
  const load = startLoad(PEOPLE, () => service.address)
  await delay(500)
  await cluster.leave()
  const told = await askAll(service.address, 3_000)
  checkTold(t, told, [503])
  await cluster.comeBack()
  await resumes(service.address)
  await delay(500)
  await checkUnharmed(t, cluster.connection, service.address, load)
})

t.test('PostgreSQL hangs under load, every process of it stopped: the same', async t => {
  const cluster = await openCluster(t)
  const service = await startService(t, { DATABASE_URL: cluster.url })
  const load = startLoad(PEOPLE, () => service.address)
  await delay(500)
  const backends = await ask<{ pid: number }>(cluster.connection, 'select pid from pg_stat_activity where pid <> pg_backend_pid()')
  const pids = [await readPostmasterPid(cluster.dataDir), ...backends.map(({ pid }) => pid)]
  await load.spoken()
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  const told = await askAll(service.address, 4_500)
  checkTold(t, told, [503])
  for (const pid of pids) process.kill(pid, 'SIGCONT')
  await resumes(service.address)
  await delay(500)
  await checkUnharmed(t, cluster.connection, service.address, load)
})

t.test('PostgreSQL takes no new connections, its postmaster stopped: who has one goes on, nobody waits', async t => {
  const cluster = await openCluster(t)
  const service = await startService(t, { DATABASE_URL: cluster.url })
  const load = startLoad(PEOPLE, () => service.address)
  await delay(500)
  const postmaster = await readPostmasterPid(cluster.dataDir)
  await load.spoken()
  process.kill(postmaster, 'SIGSTOP')
  const told = await askAll(service.address, 3_000)
  process.kill(postmaster, 'SIGCONT')
  checkTold(t, told, [200, 201, 503])
  await resumes(service.address)
  await checkUnharmed(t, cluster.connection, service.address, load)
})

t.test('the minutes without a database are a gap, not calm, and the jobs go on after them', async t => {
  const cluster = await openCluster(t)
  const app = await openTestApp(t, { now: new Date('2012-11-18T12:00:00Z'), database: { connection: { connectionString: cluster.url }, service: { connectionString: cluster.url } } })
  await app.report({ service: 'imessage', verdict: 'down' }, addressOf(1))
  await app.passMinute()
  await app.passMinute()
  await cluster.leave()
  for (let minute = 0; minute < 3; minute++) {
    await app.passMinute()
    t.equal((await app.report({ service: 'imessage', verdict: 'down' }, addressOf(2))).status, 503)
  }
  await cluster.comeBack()
  await eventually(async () => (await app.ask('/readyz')).status === 200 ? true : undefined, 'ready again')
  for (let minute = 0; minute < 3; minute++) {
    await app.passMinute()
    t.equal((await app.report({ service: 'imessage', verdict: 'down' }, addressOf(10 + minute))).status, 201)
  }
  app.now = new Date(app.now.getTime() + MINUTE_MS / 2)
  await app.jobs.tick()
  const { body } = await app.ask('/v1/services/imessage/curve?window=1m&from=2012-11-18T12:00:00Z&to=2012-11-18T12:08:00Z')
  const told = body.points.map(({ down, gap, state }: { down: number, gap: boolean, state: string }) => gap ? `gap, ${state}` : down)
  t.strictSame(told, [1, 0, 0, 'gap, unknown', 'gap, unknown', 'gap, unknown', 1, 1])
})
