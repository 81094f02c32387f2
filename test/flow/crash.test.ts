// Invariants 1 and 2 over real processes: what was acknowledged outlives any kill, and nothing is counted twice.
// KILLS=20 kills that often, the service, PostgreSQL and both in turn; a few are enough to notice a change.
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { createDatabase, makeStateFolder } from '../database.ts'
import { ask, audit, embeddedIn, eventually, readPostmasterPid, startLoad, startService } from './processes.ts'

const PEOPLE = 24
const KILLS = Number(process.env['KILLS'] ?? 4)
const VICTIMS = ['service', 'postgres', 'both'] as const
/** A kill comes at a random moment of this time after the recovery from the one before, ms. */
const KILL_WITHIN_MS = 1_500
const LEADER = "select pid from pg_locks where locktype = 'advisory' and objid = 7302 and granted"

const UNHARMED = { missing: [], double: [], uneven: [], untrue: [] }

t.test(`${KILLS} kills of the service, of PostgreSQL and of both lose no acknowledged report and double none`, { timeout: 30_000 + KILLS * 10_000 }, async t => {
  const dataDir = await makeStateFolder(t)
  let service = await startService(t, { DATA_DIR: dataDir })
  const load = startLoad(PEOPLE, () => service.address)
  const first = Math.floor(Math.random() * VICTIMS.length)
  const recoveries: number[] = []
  for (let kill = 0; kill < KILLS; kill++) {
    await delay(Math.random() * KILL_WITHIN_MS)
    await load.spoken()
    const victim = VICTIMS[(first + kill) % VICTIMS.length]!
    // After a kill a moment ago there may be none yet.
    if (victim !== 'service') await eventually(async () => process.kill(await readPostmasterPid(dataDir), 'SIGKILL'), 'PostgreSQL runs')
    const before = load.acknowledged.size
    const killedAt = performance.now()
    if (victim !== 'postgres') {
      service.kill('SIGKILL')
      await service.exited
      service = await startService(t, { DATA_DIR: dataDir })
    }
    // The first answers after the kill may be of commits before it: a few rounds of everybody show that it works again.
    await eventually(async () => load.acknowledged.size > before + 3 * PEOPLE ? true : undefined, `reports are taken again after killing ${victim}`, 30_000)
    recoveries.push(Math.round(performance.now() - killedAt))
    t.comment(`killed ${victim} after ${before} acknowledgements; reports were taken again ${recoveries.at(-1)} ms later`)
  }
  await load.finish()
  const { connection } = embeddedIn(dataDir)
  const { acknowledged, stored, ...harm } = await audit(connection, service.address, load)
  t.strictSame(harm, UNHARMED)
  t.equal(stored, acknowledged, 'and nothing is there that nobody got an answer for')
  t.comment(`${acknowledged} acknowledged, ${load.duplicates()} of them found by a retry; calls that failed, by status: ${JSON.stringify([...load.failures])}`)
  service.kill('SIGTERM')
  t.strictSame(await service.exited, { code: 0, signal: null })
})

t.test('cutting every connection under load ends nothing and loses nothing', async t => {
  const { connection, url } = await createDatabase(t, { migrated: false })
  const service = await startService(t, { DATABASE_URL: url })
  const load = startLoad(PEOPLE, () => service.address)
  for (let cut = 0; cut < 4; cut++) {
    await delay(300 + Math.random() * 300)
    await load.spoken()
    await ask(connection, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'groundswell' or (datname = current_database() and pid <> pg_backend_pid())")
  }
  await delay(300)
  await load.finish()
  const { acknowledged, stored, ...harm } = await audit(connection, service.address, load)
  t.strictSame(harm, UNHARMED)
  t.equal(stored, acknowledged)
  t.strictSame([...load.failures.keys()].filter(status => status !== 503), [], 'whoever was cut off was told so')
})

t.test('SIGTERM under load answers what is in flight, loses nothing and ends with 0 in time', async t => {
  const { connection, url } = await createDatabase(t, { migrated: false })
  let service = await startService(t, { DATABASE_URL: url })
  const load = startLoad(PEOPLE, () => service.address)
  // A client that keeps its connection and sends nothing more.
  await fetch(`${service.address}/healthz`, { headers: { connection: 'keep-alive' } }).then(response => response.text())
  for (let stop = 0; stop < 2; stop++) {
    await delay(700)
    await load.spoken()
    const before = performance.now()
    service.kill('SIGTERM')
    t.strictSame(await service.exited, { code: 0, signal: null })
    t.ok(performance.now() - before < 5_000, `${Math.round(performance.now() - before)} ms`)
    service = await startService(t, { DATABASE_URL: url })
  }
  await load.finish()
  const { acknowledged, stored, ...harm } = await audit(connection, service.address, load)
  t.strictSame(harm, UNHARMED)
  t.equal(stored, acknowledged)
  t.equal(load.duplicates(), 0, 'no report was committed whose answer was lost')
})

t.test('two services start at once on a fresh database; one of them leads, and when it is killed the other does', async t => {
  const { connection, url } = await createDatabase(t, { migrated: false })
  const services = await Promise.all([startService(t, { DATABASE_URL: url }), startService(t, { DATABASE_URL: url })])
  let turn = 0
  const load = startLoad(PEOPLE, () => services[turn++ % services.length]!.address)
  const findLeader = () => eventually(async () => (await ask<{ pid: number }>(connection, LEADER))[0]?.pid, 'one of them leads')
  const leader = await findLeader()
  await delay(1_500)
  t.strictSame((await ask(connection, LEADER)).length, 1)
  // From outside nobody sees whose connection it is: killing either and starting it anew leaves the other in the lead.
  for (const i of [0, 1]) {
    const holder = await findLeader()
    await load.spoken()
    services[i]!.kill('SIGKILL')
    await services[i]!.exited
    await delay(200)
    services[i] = await startService(t, { DATABASE_URL: url })
    t.comment(holder === await findLeader() ? `service ${i} followed` : `service ${i} led`)
  }
  t.not(await findLeader(), leader, 'the one that led was killed, and another leads')
  await load.finish()
  for (const { address } of services) {
    const { acknowledged, stored, ...harm } = await audit(connection, address, load)
    t.strictSame(harm, UNHARMED)
    t.equal(stored, acknowledged)
  }
})
