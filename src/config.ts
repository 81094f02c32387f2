import { z } from 'zod'
import ipaddr from 'ipaddr.js'

const Limited = z.string()
  .refine(text => /^[1-9]\d{0,8}\/[1-9]\d{0,5}$/.test(text), 'expected requests/seconds, such as 60/60')
  .transform(text => {
    const [max = 0, windowS = 0] = text.split('/').map(Number)
    return { max, windowS }
  })
const Limit = (fallback: string) => z.string().default(fallback).pipe(Limited)

const Cidrs = z.string().default('').transform((text, context) => {
  const cidrs = text.split(',').map(cidr => cidr.trim()).filter(cidr => cidr !== '')
  for (const cidr of cidrs) {
    if (!ipaddr.isValid(cidr) && !ipaddr.isValidCIDR(cidr)) {
      context.addIssue({ code: 'custom', message: `expected CIDRs, comma separated, such as 10.0.0.0/8; "${cidr}" is none` })
    }
  }
  return cidrs
})

const DAYS = 'expected a number of days from 1 to 35'
const WORKERS_MAX = 64
const WORKERS = `expected a number of processes from 1 to ${WORKERS_MAX}`

const Environment = z.object({
  HOST: z.string().min(1).default('127.0.0.1'),
  PORT: z.coerce.number('expected a port from 0 to 65535').int().min(0).max(65_535).default(3000),
  DATABASE_URL: z.string().regex(/^postgres(ql)?:\/\//, 'expected postgresql://user:password@host/database').optional(),
  DATABASE_OWNER_URL: z.string().regex(/^postgres(ql)?:\/\//, 'expected postgresql://owner:password@host/database').optional(),
  DATA_DIR: z.string().min(1).optional(),
  REDIS_URL: z.string().regex(/^rediss?:\/\//, 'expected redis://user:password@host:6379/0').optional(),
  TRUST_PROXY: Cidrs,
  WORKERS: z.coerce.number(WORKERS).int(WORKERS).min(1, WORKERS).max(WORKERS_MAX, WORKERS).default(1),
  LIMIT_REPORTS: Limit('60/60'),
  LIMIT_READS: Limit('600/60'),
  LIMIT_ADMIN: Limit('300/60'),
  LIMIT_GLOBAL: Limited.optional(),
  GEO_MMDB: z.string().min(1).optional(),
  RETENTION_DAYS: z.coerce.number(DAYS).int(DAYS).min(1, DAYS).max(35, DAYS).default(30),
  PUBLIC_URL: z.url({ protocol: /^https?$/, error: 'expected the address that people use, such as https://status.example.org' })
    .transform(url => url.replace(/\/+$/, '')).optional(),
  ALLOW_PRIVATE_TARGETS: z.enum(['0', '1']).default('0'),
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info')
}).refine(env => env.DATABASE_OWNER_URL === undefined || env.DATABASE_URL !== undefined, {
  path: ['DATABASE_OWNER_URL'], message: 'goes with DATABASE_URL, the same database as the role of the service'
}).refine(env => env.WORKERS <= 1 || env.WORKERS > WORKERS_MAX || env.REDIS_URL !== undefined, {
  path: ['WORKERS'], message: 'more than one share their limits and voices in Redis: set REDIS_URL as well, or leave it at 1'
}).transform(env => ({
  host: env.HOST,
  port: env.PORT,
  databaseUrl: env.DATABASE_URL,
  databaseOwnerUrl: env.DATABASE_OWNER_URL,
  dataDir: env.DATA_DIR,
  redisUrl: env.REDIS_URL,
  workers: env.WORKERS,
  trustProxy: env.TRUST_PROXY,
  limits: { reports: env.LIMIT_REPORTS, reads: env.LIMIT_READS, admin: env.LIMIT_ADMIN, global: env.LIMIT_GLOBAL },
  geoMmdb: env.GEO_MMDB,
  retentionDays: env.RETENTION_DAYS,
  publicUrl: env.PUBLIC_URL,
  allowPrivateTargets: env.ALLOW_PRIVATE_TARGETS === '1',
  logLevel: env.LOG_LEVEL
}))

/** What the environment says, checked and frozen. */
export type Config = Readonly<z.infer<typeof Environment>>

/**
 * Reads the environment; an empty variable counts as not set.
 * @throws Error with a line for every variable that is wrong.
 */
export function readConfig (environment: NodeJS.ProcessEnv = process.env): Config {
  const set = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''))
  const checked = Environment.safeParse(set)
  if (checked.success) return Object.freeze(checked.data)
  const lines = checked.error.issues.map(({ path, message }) => `  ${path.join('.')}: ${message}`)
  throw new Error(`The environment is not valid:\n${lines.join('\n')}`)
}
