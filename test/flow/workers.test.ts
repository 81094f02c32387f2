// Several processes on one port (WORKERS): what they share, and what becomes of reports when one of them, or the first, ends.
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { createDatabase, makeStateFolder } from '../database.ts'
import { readExposition, type Exposition } from '../exposition.ts'
import { listen } from '../listen.ts'
import { NO_REDIS, startRedis } from '../redis.ts'
import { ask, audit, embeddedIn, eventually, findLeader, isGone, readPostmasterPid, readWorkers, startLoad, startService } from './processes.ts'

const PEOPLE = 24
const UNHARMED = { missing: [], double: [], uneven: [], untrue: [] }

async function scrape (address: string): Promise<Exposition> {
  // A connection that is handed to one that hangs gets no answer: the next is another's.
  const response = await fetch(`${address}/metrics`, { headers: { connection: 'close' }, signal: AbortSignal.timeout(5_000) })
  return readExposition(await response.text())
}

t.test('workers share the port, the embedded database, limits and voices; one has the jobs; killing the first ends all', { skip: NO_REDIS }, async t => {
  const redis = await startRedis(t)
  const dataDir = await makeStateFolder(t)
  const service = await startService(t, { DATA_DIR: dataDir, REDIS_URL: redis.url, WORKERS: '2', LOG_LEVEL: 'debug', LIMIT_REPORTS: '6/60' })
  const workers = await readWorkers(service)
  t.equal(workers.length, 2)

  const told: { status: number, disposition: string }[] = []
  for (let i = 0; i < 8; i++) {
    // A connection each: they are handed out in turn.
    const response = await fetch(`${service.address}/v1/reports`, {
      method: 'POST',
      body: JSON.stringify({ service: 'imessage', verdict: 'down', reporter: `nonce ${i}` }),
      headers: { 'content-type': 'application/json', 'x-forwarded-for': '203.0.113.77', connection: 'close' }
    })
    told.push({ status: response.status, disposition: (await response.json() as { disposition: string }).disposition })
  }
  t.strictSame(told.map(({ status }) => status), [201, 201, 201, 201, 201, 201, 429, 429])
  t.strictSame(told.slice(0, 6).map(({ disposition }) => disposition), ['counted', 'counted', 'counted', 'quarantined', 'quarantined', 'quarantined'])
  const lines = await eventually(async () => {
    const found = service.log.filter(({ msg, route }) => msg === 'request' && route === '/v1/reports')
    return found.length === 8 ? found : undefined
  }, 'every request is in the log')
  t.strictSame(new Set(lines.map(({ worker }) => worker)), new Set([1, 2]), 'both took some')

  const exposed = await scrape(service.address)
  for (const disposition of ['counted', 'quarantined']) {
    const taken = ['1', '2'].map(worker => exposed.value('groundswell_reports_total', { worker, disposition }) ?? 0)
    t.equal(taken[0]! + taken[1]!, 3, `${disposition}: each worker tells what it took, whoever is asked`)
  }
  t.ok(exposed.value('process_start_time_seconds', { worker: '2' }), 'and how its process fares')
  t.equal(exposed.value('groundswell_database_up'), 1, 'what stands in the tables is told once')

  const { connection } = embeddedIn(dataDir)
  await eventually(() => findLeader(connection), 'one of them leads')
  t.equal(service.log.filter(({ msg }) => msg === 'ready').length, 1, 'it was said once')
  const postmaster = await readPostmasterPid(dataDir)
  service.kill('SIGKILL')
  await service.exited
  await eventually(async () => [...workers, postmaster].every(isGone) ? true : undefined, 'neither the workers nor PostgreSQL are left')
})

t.test('killing workers under load loses and doubles nothing, others take their places and the jobs; SIGTERM ends all in time', { skip: NO_REDIS }, async t => {
  const redis = await startRedis(t)
  const { connection, url } = await createDatabase(t, { migrated: false })
  const service = await startService(t, { DATABASE_URL: url, REDIS_URL: redis.url, WORKERS: '2' })
  const load = startLoad(PEOPLE, () => service.address)
  for (const place of [0, 1]) {
    await delay(300 + Math.random() * 300)
    const [before, acknowledged] = [await readWorkers(service), load.acknowledged.size]
    const victim = before[place]!
    await load.spoken()
    process.kill(victim, 'SIGKILL')
    await eventually(async () => (await readWorkers(service)).filter(pid => pid !== victim).length === 2 ? true : undefined, 'another takes its place')
    await eventually(async () => load.acknowledged.size > acknowledged + 3 * PEOPLE ? true : undefined, 'reports are taken')
    await eventually(() => findLeader(connection), 'somebody leads', 10_000)
  }
  t.equal(service.log.filter(({ msg, signal }) => msg === 'a worker ended; another takes its place' && signal === 'SIGKILL').length, 2)
  await load.finish()
  const { acknowledged, stored, ...harm } = await audit(connection, service.address, load)
  t.strictSame(harm, UNHARMED)
  t.equal(stored, acknowledged)

  const found = load.duplicates()
  const more = startLoad(PEOPLE, () => service.address, 1_000_000)
  await delay(500)
  const workers = await readWorkers(service)
  await more.spoken()
  const before = performance.now()
  service.kill('SIGTERM')
  t.strictSame(await service.exited, { code: 0, signal: null })
  t.ok(performance.now() - before < 9_000, `${Math.round(performance.now() - before)} ms`)
  t.ok(workers.every(isGone))
  const again = await startService(t, { DATABASE_URL: url, REDIS_URL: redis.url, WORKERS: '2', PORT: new URL(service.address).port })
  await more.finish()
  t.equal(more.duplicates(), 0, 'no report was committed whose answer was lost')
  t.comment(`${found} retries found a report that was committed by a worker killed before it answered`)
  const rows = await ask<{ reports: number }>(connection, 'select count(*)::integer as reports from reports')
  t.strictSame(rows, [{ reports: acknowledged + more.acknowledged.size }])
  again.kill('SIGTERM')
  t.strictSame(await again.exited, { code: 0, signal: null })
})

t.test('a worker that hangs is left out, and killed and replaced before long', { skip: NO_REDIS }, async t => {
  const redis = await startRedis(t)
  const { url } = await createDatabase(t, { migrated: false })
  const service = await startService(t, { DATABASE_URL: url, REDIS_URL: redis.url, WORKERS: '2' })
  const hung = (await readWorkers(service))[1]!
  process.kill(hung, 'SIGSTOP')
  const tellers = async () => new Set((await scrape(service.address)).samples.flatMap(({ labels: { worker } }) => worker ?? []))
  t.equal((await eventually(tellers, 'the other answers')).size, 1)
  await eventually(async () => isGone(hung) && (await readWorkers(service)).length === 2 ? true : undefined, 'another takes its place', 30_000)
  await eventually(async () => (await tellers()).size === 2 ? true : undefined, 'both tell what they measure')
  t.match(service.log.find(({ msg }) => msg === 'a worker does not answer, and is killed'), { worker: Number, seconds: 10 })
})

t.test('a start that cannot succeed ends at once', { skip: NO_REDIS }, async t => {
  const redis = await startRedis(t)
  const { url } = await createDatabase(t, { migrated: false })
  const taken = await listen(t, createServer())
  const environment = { DATABASE_URL: url, REDIS_URL: redis.url, WORKERS: '2' }
  await t.rejects(startService(t, { ...environment, PORT: String(taken) }), /ended \(1\)/)
  await t.rejects(startService(t, { ...environment, GEO_MMDB: '/nowhere' }), /ended \(1\)/)
  await t.rejects(startService(t, { DATABASE_URL: url, WORKERS: '2' }), /ended \(1\)/)
})
