import t from 'tap'
import { DAY_MS, HOUR_MS } from '../../src/core/time.ts'
import { prune } from '../../src/jobs/prune.ts'
import { Comment } from '../../src/http/comments.ts'
import { addressOf, openTestApp } from '../app.ts'
import { exactly, problem } from './contract.ts'

const app = await openTestApp(t, { now: new Date('2012-11-18T18:00:30Z') })
const headers = { authorization: `Bearer ${await app.token(['moderate'])}` }
const get = (path: string) => app.ask(`/v1/admin/${path}`, { headers })
const post = (path: string, payload: object = {}) => app.ask(`/v1/admin/${path}`, { method: 'POST', headers, payload })
let people = 0
const say = (comment: string, service = 'imessage') => app.report({ service, verdict: 'down', comment }, addressOf(people++))
const ties = () => app.database.query('select state, report_id is null and interval_at is null as untied, created_at from comments order by text')

t.test('comments wait for a moderator, without what leads to a person, and are decided once', async t => {
  await say('1 Nothing goes out. Write to ann@example.com')
  await say('2 Same here')
  await say('3 Works on wifi', 'facetime')
  const { body: { items } } = await get('comments')
  t.equal(items.length, 3)
  for (const item of items) exactly(t, Comment, item)
  const byText = (start: string) => items.find(({ text }: { text: string }) => text.startsWith(start))
  t.equal(byText('1').text, '1 Nothing goes out. Write to [removed]')
  t.equal(byText('2').created_at, '2012-11-18T18:00:00Z')
  t.equal((await get('comments?service=facetime')).body.items.length, 1)
  t.match((await post(`comments/${byText('2').id}/approve`)).body, { state: 'approved', text: '2 Same here', created_at: '2012-11-18T00:00:00Z' })
  t.match((await post(`comments/${byText('3').id}/reject`, { reason: 'Off topic' })).body, { state: 'rejected' })
  problem(t, await post(`comments/${byText('2').id}/reject`), 'conflict')
  problem(t, await post('comments/0192a1b2-0000-7000-8000-000000000000/approve'), 'not-found')
  for (const [state, count] of [['pending', 1], ['approved', 1], ['rejected', 1]] as const) t.equal((await get(`comments?state=${state}`)).body.items.length, count)
  t.match(await ties(), [{ untied: false }, { state: 'approved', untied: true }, { state: 'rejected', untied: true }])
  const paged = new Set<string>()
  await say('4 More')
  for (let cursor: string | null = ''; cursor !== null;) {
    const { body }: { body: { items: { text: string }[], next_cursor: string | null } } = await get(`comments?limit=1${cursor === '' ? '' : `&cursor=${cursor}`}`)
    for (const { text } of body.items) paged.add(text.slice(0, 1))
    cursor = body.next_cursor
  }
  t.strictSame([...paged].sort(), ['1', '4'])
  t.notMatch(JSON.stringify((await app.ask('/v1/services/imessage')).body), /Same here/)
})

t.test('nobody can tell after two days which report a comment came with, not by its id either', async t => {
  await prune(app.database, 30, new Date(app.now.getTime() + 2 * DAY_MS - HOUR_MS))
  t.match((await ties())[0], { untied: false })
  await prune(app.database, 30, new Date(app.now.getTime() + 2 * DAY_MS + HOUR_MS))
  for (const row of await ties()) t.match(row, { untied: true, created_at: new Date('2012-11-18T00:00:00Z') })
  for (const { id } of await app.database.query<{ id: string }>('select id from comments')) {
    t.equal(Number.parseInt(id.replace('-', '').slice(0, 12), 16), Date.parse('2012-11-18T00:00:00Z'))
  }
})
