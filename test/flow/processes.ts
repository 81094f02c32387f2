// The service as a process of its own, people who report to it, and the count at the end: for tests that kill it.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Test } from 'tap'
import { spawnProgram } from '../program.ts'

/** A start, with the recovery of a killed database in it, takes no longer, ms. */
const READY_WITHIN_MS = 30_000
/** A person who got no answer tries again after this, ms. */
const RETRY_AFTER_MS = 100
/** People speak together, so often (ms): all are in flight at once, and between two beats the service may recover. */
const BEAT_MS = 100
/** What is killed this long after a beat, at most, has most of them in flight, ms. */
const IN_FLIGHT_MS = 15
const LEADER = `select pid from pg_locks where locktype = 'advisory' and objid = 7302 and granted
  and database = (select oid from pg_database where datname = current_database())`
const SERVICES = ['imessage', 'github']
const REGIONS = ['CA-ON', 'CA', 'US-NY', 'DE', 'ZZ']
const DEVICE_CLASSES = ['iphone', 'mac', 'ipad-wifi']
const VERDICTS = ['down', 'degraded', 'working'] as const

/** A running service. */
export interface ServiceProcess {
  /** `http://127.0.0.1:<port>` */
  address: string
  pid: number
  log: { msg: string, level: number, [member: string]: unknown }[]
  kill: (signal: NodeJS.Signals) => void
  exited: Promise<{ code: number | null, signal: NodeJS.Signals | null }>
}

/** Starts `node dist/main.js` on a free port, without limits on reports; killed when `t` ends. Resolves when it is ready. */
export async function startService (t: Pick<Test, 'teardown'>, environment: Record<string, string>): Promise<ServiceProcess> {
  const variables = { PORT: '0', LIMIT_REPORTS: '999999999/60', LIMIT_READS: '999999999/60', TRUST_PROXY: '127.0.0.0/8', ...environment }
  const child = spawnProgram([], variables, ['ignore', 'pipe', 'ignore'])
  const log: ServiceProcess['log'] = []
  const exited = once(child, 'exit').then(([code, signal]) => ({ code, signal }))
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const address = new Promise<string>((resolve, reject) => {
    createInterface(child.stdout!).on('line', line => {
      const entry = JSON.parse(line)
      log.push(entry)
      if (entry.msg === 'ready') resolve(entry.address)
    })
    exited.then(({ code, signal }) => reject(new Error(`the service ended (${code ?? signal}) before it was ready: ${JSON.stringify(log)}`)), reject)
  })
  const ready = await Promise.race([address, delay(READY_WITHIN_MS, undefined, { ref: false })])
  if (ready === undefined) throw new Error(`the service was not ready within ${READY_WITHIN_MS} ms: ${JSON.stringify(log)}`)
  return { address: ready, pid: child.pid!, log, exited, kill: signal => { child.kill(signal) } }
}

/** The processes that a service with WORKERS started to take reports, the first one first. */
export async function readWorkers ({ pid }: Pick<ServiceProcess, 'pid'>): Promise<number[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-ww', '-o', 'pid=,ppid=,command='])
  return [...stdout.matchAll(/^ *(\d+) +(\d+) .*main\.js/gm)].filter(([, , parent]) => Number(parent) === pid).map(([, own]) => Number(own))
}

/** The process id of the PostgreSQL that runs on `dataDir`. */
export async function readPostmasterPid (dataDir: string): Promise<number> {
  return Number((await readFile(join(dataDir, 'data/postmaster.pid'), 'utf8')).split('\n', 1)[0])
}

/** True when no such process is there any more. */
export function isGone (pid: number): boolean {
  try {
    process.kill(pid, 0)
    return false
  } catch {
    return true
  }
}

/** The database's process for the connection that has the lead of the jobs. */
export async function findLeader (connection: pg.ClientConfig): Promise<number | undefined> {
  return (await ask<{ pid: number }>(connection, LEADER))[0]?.pid
}

/** Where the embedded database in `dataDir` listens, for pg and as a URL. */
export function embeddedIn (dataDir: string): { connection: pg.ClientConfig, url: string } {
  return {
    connection: { host: dataDir, port: 5432, user: 'groundswell', database: 'groundswell' },
    url: `postgresql://groundswell@/groundswell?host=${encodeURIComponent(dataDir)}&port=5432`
  }
}

/** Asks a database on a connection that lives no longer than the question. */
export async function ask<Row extends pg.QueryResultRow> (connection: pg.ClientConfig, text: string): Promise<Row[]> {
  const client = new pg.Client({ ...connection, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  await client.connect()
  return client.query<Row>(text).then(({ rows }) => rows).finally(() => client.end())
}

/** Asks until the answer is defined. @throws Error when that takes longer than `withinMs` */
export async function eventually<T> (question: () => Promise<T | undefined>, what: string, withinMs = 20_000): Promise<T> {
  for (const until = performance.now() + withinMs; performance.now() < until; await delay(50)) {
    const answer = await question().catch(() => undefined)
    if (answer !== undefined) return answer
  }
  throw new Error(`not within ${withinMs} ms: ${what}`)
}

/** What people's reports met with. */
export interface Load {
  /** By id, the number of times it was acknowledged: more than once only if two people's ids were the same. */
  acknowledged: Map<string, number>
  /** How many answers were 200 `duplicate`: committed before, and the answer was lost. */
  duplicates: () => number
  /** Calls that ended without an acknowledgement, by status; 0 stands for no answer at all. */
  failures: Map<number, number>
  /** The longest time that a call took, whatever came of it, ms. */
  slowestMs: () => number
  /** Resolves at a random moment in which most of those who have an answer have just spoken again. */
  spoken: () => Promise<void>
  /** Nobody begins another report; resolves when everyone has an acknowledgement. */
  finish: () => Promise<void>
}

/**
 * Lets `people` report at once, again at each beat, each report from a network of its own and seen at a time it names,
 * until `finish`. Who gets no acknowledgement says the same again, wherever `address` then leads.
 */
export function startLoad (people: number, address: () => string, seed = 0): Load {
  const acknowledged = new Map<string, number>()
  const failures = new Map<number, number>()
  let spoken = seed
  let duplicates = 0
  let slowestMs = 0
  const mood = { finishing: false }

  async function speak (): Promise<void> {
    const n = spoken++
    const body = JSON.stringify({
      service: SERVICES[n % SERVICES.length],
      verdict: VERDICTS[n % VERDICTS.length],
      region: REGIONS[n % REGIONS.length],
      device_class: DEVICE_CLASSES[n % DEVICE_CLASSES.length],
      observed_at: new Date().toISOString()
    })
    const headers = { 'content-type': 'application/json', 'x-forwarded-for': `${11 + (n >> 16)}.${(n >> 8) % 256}.${n % 256}.7` }
    while (true) {
      const askedAt = performance.now()
      const answer = await fetch(`${address()}/v1/reports`, { method: 'POST', body, headers, signal: AbortSignal.timeout(15_000) })
        .then(async response => ({ status: response.status, body: await response.json() as { id: string, disposition: string } }))
        .catch(() => ({ status: 0, body: undefined }))
      slowestMs = Math.max(slowestMs, performance.now() - askedAt)
      if (answer.body !== undefined && (answer.status === 200 || answer.status === 201)) {
        const { id, disposition } = answer.body
        acknowledged.set(id, (acknowledged.get(id) ?? 0) + 1)
        if (disposition === 'duplicate') duplicates++
        return
      }
      failures.set(answer.status, (failures.get(answer.status) ?? 0) + 1)
      await delay(RETRY_AFTER_MS)
    }
  }
  async function person (): Promise<void> {
    while (!mood.finishing) {
      await speak()
      await beat()
    }
  }
  const everyone = Promise.all(Array.from({ length: people }, person))
  return {
    acknowledged,
    failures,
    duplicates: () => duplicates,
    slowestMs: () => slowestMs,
    async spoken () {
      await beat()
      await delay(Math.random() * IN_FLIGHT_MS)
    },
    async finish () {
      mood.finishing = true
      await everyone
    }
  }
}

async function beat (): Promise<void> {
  await delay(BEAT_MS - performance.now() % BEAT_MS)
}

/** What the database holds in the end, beside what was acknowledged; every list is empty when nothing is wrong. */
export interface Audit {
  acknowledged: number
  stored: number
  /** Acknowledged and not there. */
  missing: string[]
  /** There twice, or acknowledged to two people. */
  double: string[]
  /** Minutes in which windows and counted reports differ. */
  uneven: object[]
  /** Services whose curve tells another total than the reports. */
  untrue: object[]
}

/** Waits until no minute is stale, then counts. */
export async function audit (connection: pg.ClientConfig, address: string, load: Load): Promise<Audit> {
  await eventually(async () => {
    const [row] = await ask<{ stale: number }>(connection, 'select count(*)::integer as stale from stale_minutes')
    return row?.stale === 0 ? true : undefined
  }, 'no minute is stale')
  const stored = await ask<{ id: string, copies: number }>(connection, 'select id, count(*)::integer as copies from reports group by id')
  const there = new Set(stored.map(({ id }) => id))
  const uneven = await ask(connection, `select * from (
      select service_id, minute, count(*) as reports from reports where disposition = 0 group by 1, 2) r
    full join (select service_id, minute, sum(working + degraded + down) as windows from windows group by 1, 2) w using (service_id, minute)
    where reports is distinct from windows`)
  return {
    acknowledged: load.acknowledged.size,
    stored: stored.reduce((sum, { copies }) => sum + copies, 0),
    missing: [...load.acknowledged.keys()].filter(id => !there.has(id)),
    double: [...stored.filter(({ copies }) => copies > 1).map(({ id }) => id), ...[...load.acknowledged].filter(([, times]) => times > 1).map(([id]) => id)],
    uneven,
    untrue: await compareCurves(connection, address)
  }
}

async function compareCurves (connection: pg.ClientConfig, address: string): Promise<object[]> {
  const counted = await ask<{ slug: string, verdict: number, reports: number }>(connection, `select slug, verdict, count(*)::integer as reports
    from reports join services on services.id = service_id where disposition = 0 group by 1, 2`)
  const span = `from=${new Date(Date.now() - 3_600_000).toISOString()}&to=${new Date(Date.now() + 60_000).toISOString()}`
  const untrue: object[] = []
  for (const slug of SERVICES) {
    const response = await fetch(`${address}/v1/services/${slug}/curve?window=1m&${span}`)
    const { points } = await response.json() as { points: Record<'working' | 'degraded' | 'down', number>[] }
    for (const [verdict, name] of (['working', 'degraded', 'down'] as const).entries()) {
      const told = points.reduce((sum, point) => sum + point[name], 0)
      const reports = counted.find(row => row.slug === slug && row.verdict === verdict)?.reports ?? 0
      if (told !== reports) untrue.push({ slug, name, told, reports })
    }
  }
  return untrue
}
