import t from 'tap'
import { readSlack, statusOfEntry } from '../../../src/core/official/slack.ts'
import { json, only, said, sample } from './samples.ts'

t.test('an incident is there from date_created on, its notes are its words, and maintenance is no admission', async t => {
  const reading = readSlack(sample('slack.json'))
  t.strictSame(said(reading), [
    ['546', [['2026-04-09T14:00:00Z', 'down', 'Messages are late for some'], ['2026-04-09T14:35:46Z', 'down', 'We are looking into it.'], ['2026-04-09T15:35:46Z', 'down', 'We see it recover. More soon.']]],
    ['548', [['2026-04-08T14:10:00Z', 'degraded', 'Search is slow'], ['2026-04-08T16:10:00Z', 'up', '']]]
  ])
  t.match(reading.incidents[0], { affected: ['Messaging', 'Notifications'], url: 'https://slack-status.com/2026-04/7dea1cd14cd0f657' })
  t.equal(reading.updatedAt, Date.UTC(2026, 3, 9, 15, 35, 46))
})

t.test('types are graded', async t => {
  const table: [unknown, unknown][] = [['incident', 'degraded'], ['notice', 'degraded'], ['outage', 'down'], ['maintenance', null], ['odd', 'degraded'], [undefined, 'degraded']]
  for (const [type, status] of table) t.equal(statusOfEntry(type), status, String(type))
})

const entry = { id: 1, date_created: '2026-04-09T07:00:00-07:00', title: 'x', type: 'incident', status: 'active', notes: [] }
const read = (more: object) => readSlack(json({ status: 'active', active_incidents: [{ ...entry, ...more }] }))

t.test('what is resolved, completed or cancelled is over, and what is scheduled has not begun', async t => {
  const table: [unknown, string | undefined][] = [['active', 'degraded'], ['resolved', 'up'], ['completed', 'up'], ['cancelled', 'up'], ['scheduled', undefined], [undefined, 'degraded']]
  for (const [status, wanted] of table) t.equal(read({ status }).incidents[0]?.words.at(-1)?.status, wanted, String(status))
})

t.test('a note of the incident\'s own second is its first word, and without any time it is skipped', async t => {
  t.strictSame(said(read({ notes: [{ date_created: '2026-04-09T07:00:00-07:00', body: 'a' }] })), [['1', [['2026-04-09T14:00:00Z', 'degraded', 'a']]]])
  t.strictSame(said(read({ date_created: 'x', notes: [{ date_created: '2026-04-09T08:00:00-07:00', body: 'a' }, null, { body: 'b' }] })), [['1', [['2026-04-09T15:00:00Z', 'degraded', 'a']]]])
  t.strictSame(read({ date_created: null }).incidents, [])
  t.strictSame(only(read({ services: 'x', url: 'ftp://x/', notes: 'x' })), { id: '1', title: 'x', url: null, affected: [], words: [{ publishedAt: Date.UTC(2026, 3, 9, 14), status: 'degraded', text: 'x' }] })
})

t.test('all is well is an empty list; another answer is refused, and so is one of broken entries alone', async t => {
  t.strictSame(readSlack(json({ status: 'ok', active_incidents: [], date_updated: '2018-09-07T18:34:15-07:00' })), { incidents: [], names: [], updatedAt: Date.UTC(2018, 8, 8, 1, 34, 15) })
  t.strictSame(readSlack(json({ status: 'ok' })).incidents, [])
  for (const page of [{}, [], { status: 'active' }, { ok: true }, { status: 'ok', active_incidents: {} }, { status: 'active', active_incidents: [{}, 7] }]) t.throws(() => readSlack(json(page)), { name: 'PageError' })
})
