// A whole app on a database of its own, with a clock that the test moves: for tests of http and of the way through.
import type { InjectOptions } from 'fastify'
import type pg from 'pg'
import { pino } from 'pino'
import type { Test } from 'tap'
import { openApp, type App, type AppOptions } from '../src/app.ts'
import { floorTo, MINUTE_MS } from '../src/core/time.ts'
import { markWatched } from '../src/db/watched.ts'
import { createToken } from '../src/http/tokens.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { ask } from './flow/processes.ts'

/** Proxies that the tests' injected requests come from: what X-Forwarded-For says is believed. */
const LOOPBACK = ['127.0.0.0/8']
const UNLIMITED = { max: 1_000_000, windowS: 60 }
/** The jobs catch up with four hours in one tick. */
const AT_ONCE_MAX = 200

/** An app under test. */
export interface TestApp extends App {
  /** The domain's time; set it to let time pass. */
  now: Date
  database: App['database']
  /** As the service's role, and as the owner of the tables. */
  connection: TestDatabase['service']
  owner: TestDatabase['connection']
  /** Sends a report from an address, and answers with status and body. */
  report: (body: object, address?: string, headers?: Record<string, string>) => Promise<{ status: number, headers: Record<string, unknown>, body: any }>
  /** Asks for a path, and answers with status, headers and the parsed body. */
  ask: (url: string, options?: InjectOptions) => Promise<{ status: number, headers: Record<string, unknown>, body: any, text: string }>
  /** Lets a minute pass: time moves by one, and the jobs do what they do. */
  passMinute: () => Promise<void>
  /** Lets minutes pass in which nobody reports: all are watched, and the jobs judge them late and together. */
  passQuietly: (minutes: number) => Promise<void>
  /** Asks as the owner of the tables, who may do what the service may not. */
  asOwner: <Row extends pg.QueryResultRow>(text: string) => Promise<Row[]>
  token: (scopes?: Parameters<typeof createToken>[1]['scopes']) => Promise<string>
}

/** Opens an app whose jobs run only when they are called; closed when `t` ends. Starts on a full minute. */
export async function openTestApp (
  t: Pick<Test, 'teardown'>, options: Partial<AppOptions> & { now?: Date, database?: Pick<TestDatabase, 'connection' | 'service'> } = {}
): Promise<TestApp> {
  let now = options.now ?? new Date('2012-11-18T12:00:00Z')
  const { connection: owner, service: connection } = options.database ?? await createDatabase(t, { now })
  const app = await openApp({
    connection,
    owner,
    clock: { now: () => now, speed: 1 },
    logger: pino({ level: 'silent' }),
    retentionDays: 30,
    trustProxy: LOOPBACK,
    limits: { reports: UNLIMITED, reads: UNLIMITED, admin: UNLIMITED },
    // The domain's clock is moved; answers are held by the real one.
    heldMs: 0,
    ticking: false,
    ...options
  })
  t.teardown(() => app.close())
  await app.jobs.tick()

  const call: TestApp['ask'] = async (url, more = {}) => {
    const response = await app.http.inject({ url, ...more })
    const isJson = /json/.test(String(response.headers['content-type'])) && !/ndjson/.test(String(response.headers['content-type']))
    return { status: response.statusCode, headers: response.headers, text: response.body, body: isJson && response.body !== '' ? response.json() : response.body }
  }
  return {
    ...app,
    connection,
    owner,
    get now () { return now },
    set now (value) { now = value },
    ask: call,
    async report (body, address = '192.0.2.1', headers = {}) {
      return call('/v1/reports', { method: 'POST', payload: body, headers: { 'x-forwarded-for': address, ...headers } })
    },
    async passMinute () {
      now = new Date(now.getTime() + MINUTE_MS)
      await app.jobs.tick()
    },
    async passQuietly (minutes) {
      for (let left = minutes; left > 0; left -= AT_ONCE_MAX) {
        const before = floorTo(now.getTime(), MINUTE_MS)
        now = new Date(now.getTime() + Math.min(left, AT_ONCE_MAX) * MINUTE_MS)
        await markWatched(app.database, before, floorTo(now.getTime(), MINUTE_MS))
        await app.jobs.tick()
      }
    },
    asOwner: text => ask(owner, text),
    token: async (scopes = ['import']) => (await createToken(app.database, { name: 'test', scopes, expiresAt: null }, 'test', now)).token
  }
}

/** Address number `i` of as many networks as there are numbers below 65,536. */
export function addressOf (i: number): string {
  return `100.${64 + (i >> 8) % 64}.${i % 256}.7`
}
