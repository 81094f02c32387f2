import t from 'tap'
import { readConfig } from '../src/config.ts'

t.test('nothing configured is a working configuration', async t => {
  const config = readConfig({})
  t.match(config, { host: '127.0.0.1', port: 3000, databaseUrl: undefined, trustProxy: [], retentionDays: 30, workers: 1, allowPrivateTargets: false, logLevel: 'info' })
  t.strictSame(config.limits, { reports: { max: 60, windowS: 60 }, reads: { max: 600, windowS: 60 }, admin: { max: 300, windowS: 60 }, global: undefined })
  t.strictSame(readConfig({ PORT: '', TRUST_PROXY: '' }), config, 'an empty variable is not set')
  t.ok(Object.isFrozen(config))
})

t.test('what is set is taken', async t => {
  t.match(readConfig({ PORT: '0', TRUST_PROXY: '10.0.0.0/8, ::1', LIMIT_REPORTS: '5/1', DATABASE_URL: 'postgresql://u:p@h/d', RETENTION_DAYS: '7', ALLOW_PRIVATE_TARGETS: '1' }), {
    port: 0, trustProxy: ['10.0.0.0/8', '::1'], limits: { reports: { max: 5, windowS: 1 } }, databaseUrl: 'postgresql://u:p@h/d', retentionDays: 7, allowPrivateTargets: true
  })
})

t.test('every wrong variable is named at once, and no value is repeated that might be a secret', async t => {
  try {
    readConfig({ PORT: '70000', LIMIT_READS: 'many', TRUST_PROXY: 'nginx', DATABASE_URL: 'mysql://secret', DATABASE_OWNER_URL: 'owner:secret', REDIS_URL: 'memcached://secret', PUBLIC_URL: 'ftp://secret', LOG_LEVEL: 'loud', RETENTION_DAYS: '0', WORKERS: '65', ALLOW_PRIVATE_TARGETS: 'yes' })
    t.fail('it was accepted')
  } catch (error) {
    const { message } = error as Error
    for (const name of ['PORT', 'LIMIT_READS', 'TRUST_PROXY', 'DATABASE_URL', 'DATABASE_OWNER_URL', 'REDIS_URL', 'PUBLIC_URL', 'LOG_LEVEL', 'RETENTION_DAYS', 'WORKERS', 'ALLOW_PRIVATE_TARGETS']) t.match(message, new RegExp(`^  ${name}: `, 'm'))
    t.notMatch(message, /secret/)
  }
  t.throws(() => readConfig({ WORKERS: '2' }), /WORKERS: .* set REDIS_URL/)
  for (const WORKERS of ['0', '65']) t.throws(() => readConfig({ WORKERS }), /valid:\n {2}WORKERS: [^\n]*64$/)
  t.equal(readConfig({ WORKERS: '2', REDIS_URL: 'redis://h' }).workers, 2)
  t.throws(() => readConfig({ DATABASE_OWNER_URL: 'postgresql://owner@h/d' }), /DATABASE_OWNER_URL: goes with DATABASE_URL/)
})
