// What every answer is held to: its members exactly, and every refusal a problem.
import pg from 'pg'
import type { Test } from 'tap'
import type { z } from 'zod'
import { Problem } from '../../src/http/documentation.ts'
import type { TestDatabase } from '../database.ts'

/** An answer as `ask` and `report` give it. */
export interface Answer { status: number, body: any, headers?: Record<string, unknown> }

/** Passes when a body is what the schema says, with no member beside it at any depth. */
export function exactly (t: Pick<Test, 'strictSame'>, schema: z.ZodType, body: unknown, what = 'has exactly the members of the contract'): void {
  const checked = schema.safeParse(body)
  t.strictSame(checked.success ? checked.data : checked.error.issues, body, what)
}

/** Passes when an object has these members and no others. */
export function members (t: Pick<Test, 'strictSame'>, object: object, names: string): void {
  t.strictSame(Object.keys(object).sort(), names.split(' ').sort(), `has the members ${names}`)
}

const STATUSES: Record<string, number> = {
  malformed: 400,
  unauthorized: 401,
  forbidden: 403,
  'not-found': 404,
  'method-not-allowed': 405,
  'not-acceptable': 406,
  conflict: 409,
  'precondition-failed': 412,
  'precondition-required': 428,
  'proof-required': 428,
  'too-large': 413,
  'unsupported-media-type': 415,
  invalid: 422,
  'rate-limited': 429,
  'headers-too-large': 431,
  timeout: 408,
  internal: 500,
  overloaded: 503,
  unavailable: 503
}

/** What must never leave: a stack, SQL, a path of the machine. */
const LEAKS = /\bat \S*[(/]\S*:\d+:\d+|node_modules|\/src\/|\.ts\b|\.js\b|\bselect\b.*\bfrom\b|\binsert into\b|pg_|postgres/i

/** Passes when an answer is the problem of this name, and names these fields and no others. */
export function problem (t: Pick<Test, 'equal' | 'strictSame' | 'match' | 'notMatch'>, answer: Answer, name: string, pointers: string[] = []): void {
  const { status, body, headers } = answer
  t.equal(status, STATUSES[name], `${name}: ${JSON.stringify(body).slice(0, 300)}`)
  if (headers !== undefined) t.match(String(headers['content-type']), /^application\/problem\+json/)
  const { errors = [], ...rest } = body
  t.strictSame({ ...rest, title: '', detail: '', request_id: '' }, { ...rest, type: `/problems/${name}`, title: '', status, detail: '', request_id: '' })
  t.match(body, { title: /\w/, detail: /\w/, request_id: /^[0-9a-f-]{36}$/ })
  exactly(t, Problem, body)
  t.notMatch(JSON.stringify(body), LEAKS, 'tells nothing of the inside')
  t.strictSame(errors.map(({ pointer }: { pointer: string }) => pointer).sort(), [...pointers].sort(), 'names the fields')
}

/** Takes a database away from everybody, and gives it back. */
export function cutOff ({ url, name }: TestDatabase): { begin: () => Promise<void>, end: () => Promise<void> } {
  const ask = async (...statements: string[]) => {
    const admin = new pg.Client({ connectionString: url.replace(`/${name}`, '/postgres') })
    await admin.connect()
    for (const statement of statements) await admin.query(statement)
    await admin.end()
  }
  return {
    begin: () => ask(`alter database ${name} with allow_connections false`, `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`),
    end: () => ask(`alter database ${name} with allow_connections true`)
  }
}
