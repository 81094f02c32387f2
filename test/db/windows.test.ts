import t from 'tap'
import { DAY_MS, HOUR_MS } from '../../src/core/time.ts'
import { openDatabase, type Db } from '../../src/db/client.ts'
import { readSpeakingServices } from '../../src/db/windows.ts'
import { createDatabase } from '../database.ts'

const NOW = Date.parse('2026-06-15T12:30:00Z')
const iso = (at: number) => new Date(at).toISOString()

t.test('who speaks is found by a window of each service, however many a day has', async t => {
  const { service, connection } = await createDatabase(t)
  const database = openDatabase(service, { onError: () => {}, answerTimeoutMs: 0 })
  const owner = openDatabase(connection, { onError: () => {}, answerTimeoutMs: 0 })
  t.teardown(() => Promise.all([database.close(), owner.close()]))
  const speak = (services: string, ago: string, count: number) => database.query(`insert into windows
    select service, $1::timestamptz - make_interval(mins => m), 'CA-ON', 'mac', $2, 0, 0, $2, 0, 0 from ${services} service, ${ago} m`, [iso(NOW), count])
  const learn = (services: string, at: number) => database.query(`insert into baselines select service, $1, 5, '{}' from ${services} service`, [iso(at)])
  const windowCount = 1_400
  await speak('generate_series(1, 20)', `generate_series(1, ${windowCount})`, 1)
  await learn('generate_series(1, 24)', NOW - HOUR_MS)
  await speak('generate_series(21, 21)', 'generate_series(1441, 1500)', 1)
  await speak('generate_series(22, 22)', 'generate_series(1, 60)', 0)
  await speak('generate_series(25, 26)', 'generate_series(1, 60)', 1)
  await learn('generate_series(26, 26)', NOW - 3 * HOUR_MS)
  await owner.query('analyze')

  let sent: Parameters<Db['query']> | undefined
  const listening = {
    ...database,
    query (...given: Parameters<Db['query']>) {
      sent = given
      return database.query(...given)
    }
  } as Db
  const found = await readSpeakingServices(listening, NOW - DAY_MS, NOW - 2 * HOUR_MS)
  t.strictSame([...found].sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i + 1), 'not who is silent for a day or was not learnt of late')

  const [explained] = await database.query<{ 'QUERY PLAN': unknown }>(`explain (analyze, format json) ${sent![0]}`, sent![1])
  const readFrom = (part: unknown): number => {
    if (typeof part !== 'object' || part === null) return 0
    const { 'Relation Name': table, 'Actual Rows': rows, 'Actual Loops': loops } = part as Record<string, unknown>
    const own = table === 'windows' ? Number(rows) * Number(loops) : 0
    return Object.values(part).reduce((sum: number, each) => sum + readFrom(each), own)
  }
  t.ok(readFrom(explained) <= 21, `${readFrom(explained)} of ${20 * windowCount} windows were read`)
})
