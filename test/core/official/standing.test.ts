import t from 'tap'
import { disputedSince, officialFreshMs, standByHand, standOfficially, type LastWord, type ReadSource } from '../../../src/core/official/standing.ts'
import { MINUTE_MS } from '../../../src/core/time.ts'

const NOW = new Date('2026-03-02T12:00:00Z')
const ago = (minutes: number) => NOW.getTime() - minutes * MINUTE_MS
const FRESH_MS = officialFreshMs(1)
const source = (more: Partial<ReadSource> = {}): ReadSource => ({ id: 's', url: 'https://status.example.org/api/v2/summary.json', readAt: ago(1), updatedAt: ago(90), ...more })
const said = (status: LastWord['status'], minutesAgo: number, more: Partial<LastWord> = {}): LastWord =>
  ({ sourceId: 's', status, publishedAt: ago(minutesAgo), saidFirstAt: ago(minutesAgo), url: null, ...more })

t.test('the gravest incident that is not over says how a service stands, the newest of equals; else the last that is', async t => {
  const stand = (...words: LastWord[]) => standOfficially([source()], words, FRESH_MS, NOW)
  t.match(stand(), { status: 'up', saidAt: ago(90), checkedAt: ago(1), source: 'status.example.org', url: source().url })
  t.match(stand(said('up', 30), said('up', 10)), { status: 'up', saidAt: ago(10) })
  t.match(stand(said('up', 1), said('degraded', 20), said('down', 40, { url: 'https://example.org/i' })), { status: 'down', saidAt: ago(40), url: 'https://example.org/i' })
  t.match(stand(said('degraded', 5), said('degraded', 20)), { status: 'degraded', saidAt: ago(5) })
})

t.test('a page that was not read lately says nothing, and only when it was read is told', async t => {
  t.strictSame(standOfficially([source({ readAt: null })], [], FRESH_MS, NOW), { status: 'unknown', saidAt: null, checkedAt: null, source: null, url: null })
  t.match(standOfficially([source({ readAt: ago(6) })], [said('down', 10)], FRESH_MS, NOW), { status: 'unknown', saidAt: null, checkedAt: ago(6), source: 'status.example.org' })
  const other = source({ id: 'o', url: 'https://other.example.org/', readAt: ago(2) })
  t.match(standOfficially([source({ readAt: ago(6) }), other], [said('down', 10)], FRESH_MS, NOW), { status: 'up', checkedAt: ago(2), source: 'other.example.org' }, 'another page still does')
  t.equal(standOfficially([], [], FRESH_MS, NOW).status, 'unknown')
})

t.test('what a moderator recorded is an admission, and no more', async t => {
  t.equal(standByHand(undefined).status, 'unknown')
  t.match(standByHand({ source: 'Apple', publishedAt: new Date(ago(3)), url: null }), { status: 'degraded', saidAt: ago(3), checkedAt: null, source: 'Apple' })
})

t.test('it is disputed while the vendor says that it works: since the alarm, or since it said that it works again', async t => {
  t.equal(disputedSince({ status: 'up', saidAt: ago(600) }, ago(20)), ago(20))
  t.equal(disputedSince({ status: 'up', saidAt: null }, ago(20)), ago(20))
  t.equal(disputedSince({ status: 'up', saidAt: ago(5) }, ago(20)), ago(5))
  for (const status of ['degraded', 'down', 'unknown'] as const) t.equal(disputedSince({ status, saidAt: ago(5) }, ago(20)), null, status)
})
