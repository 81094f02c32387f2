import t from 'tap'
import { DAY_MS, floorTo } from '../../src/core/time.ts'
import { addressOf, openTestApp } from '../app.ts'
import { problem } from './contract.ts'

const app = await openTestApp(t, { now: new Date('2012-11-18T18:00:00Z') })
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const [admin, moderate] = [await app.token(['admin']), await app.token(['moderate'])]
let people = 0
const call = (method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE' | 'OPTIONS', path: string, token?: string, payload?: unknown, headers = {}) =>
  app.ask(path, {
    method,
    headers: { 'x-forwarded-for': addressOf(people++), ...(token === undefined ? {} : bearer(token)), ...headers },
    ...(payload === undefined ? {} : { payload: payload as object })
  })

t.test('nobody learns without a token what there is below the prefix, nor is their body read', async t => {
  const answers = new Set<string>()
  for (const path of ['/v1/admin/tokens', '/v1/admin/audit', '/v1/admin/nothing', '/v1/admin/tokens/abc', '/v1/admin/']) {
    for (const method of ['GET', 'POST', 'PATCH', 'PUT', 'DELETE', 'OPTIONS'] as const) {
      for (const token of [undefined, 'gsw_0_0', `${admin}x`]) {
        const answer = await call(method, path, token, method === 'GET' ? undefined : '{broken', { 'content-type': 'application/json' })
        problem(t, answer, 'unauthorized')
        answers.add(answer.body.detail)
      }
    }
  }
  t.equal(answers.size, 1)
})

t.test('a token opens its scope alone, and only then is told what does not exist', async t => {
  problem(t, await call('GET', '/v1/admin/tokens', moderate), 'forbidden')
  problem(t, await call('POST', '/v1/admin/tokens', moderate, { nonsense: true }), 'forbidden')
  t.equal((await call('GET', '/v1/admin/tokens', admin)).status, 200)
  problem(t, await call('GET', '/v1/admin/nothing', moderate), 'not-found')
  const wrong = await call('PUT', '/v1/admin/tokens', admin, {})
  problem(t, wrong, 'method-not-allowed')
  t.match(wrong.headers['allow'], /GET.*POST/)
})

t.test('a token made here works at once, and not a moment after it is revoked', async t => {
  const made = await call('POST', '/v1/admin/tokens', admin, { name: 'Ann', scopes: ['admin'], expires_at: null })
  t.equal(made.status, 201)
  const { token, ...described } = made.body
  t.match(token, /^gsw_[0-9a-f]{12}_[\w-]{43}$/)
  const read = await call('GET', `/v1/admin/tokens/${described.id}`, token)
  t.strictSame({ ...read.body, last_used_at: null }, described)
  t.notMatch(JSON.stringify((await call('GET', '/v1/admin/tokens', admin)).body), token.split('_')[2])
  t.equal((await call('DELETE', `/v1/admin/tokens/${described.id}`, token)).status, 204)
  problem(t, await call('GET', '/v1/admin/tokens', token), 'unauthorized')
  t.ok((await call('GET', `/v1/admin/tokens/${described.id}`, admin)).body.revoked_at)
})

t.test('a token is called by one line of text, as everything here is', async t => {
  for (const name of ['a\u0000b', 'a\nb', '\ud800', '']) problem(t, await call('POST', '/v1/admin/tokens', admin, { name, scopes: ['import'] }), 'invalid', ['/name'])
})

t.test('a change names the version it changes', async t => {
  const { body: { id } } = await call('POST', '/v1/admin/tokens', admin, { name: 'Bob', scopes: ['import'] })
  const path = `/v1/admin/tokens/${id}`
  const { headers: { etag } } = await call('GET', path, admin)
  problem(t, await call('PATCH', path, admin, { name: 'Rob' }), 'precondition-required')
  problem(t, await call('PATCH', path, admin, { name: 'Rob' }, { 'if-match': '"other"' }), 'precondition-failed')
  const changed = await call('PATCH', path, admin, { name: 'Rob' }, { 'if-match': etag })
  t.match(changed.body, { name: 'Rob', scopes: ['import'], expires_at: null })
  problem(t, await call('PATCH', path, admin, { name: 'Bob' }, { 'if-match': etag }), 'precondition-failed')
  problem(t, await call('PATCH', path, admin, { name: 'Bob', other: 1 }, { 'if-match': changed.headers['etag'] }), 'malformed', ['/other'])
  problem(t, await call('PATCH', path, admin, { scopes: [] }, { 'if-match': changed.headers['etag'] }), 'invalid', ['/scopes'])
  problem(t, await call('DELETE', '/v1/admin/tokens/0', admin), 'not-found')
})

t.test('every change is in the audit log, newest first and chained', async t => {
  const all: { id: string, action: string, target: string, hash: string, previous: string, before: unknown, after: unknown }[] = []
  for (let cursor: string | null = ''; cursor !== null;) {
    const { body } = await call('GET', `/v1/admin/audit?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`, admin)
    all.push(...body.items)
    cursor = body.next_cursor
  }
  t.strictSame(all.slice(0, 4).map(({ action }) => action), ['token.update', 'token.create', 'token.revoke', 'token.create'])
  t.match(all[0], { before: { name: 'Bob' }, after: { name: 'Rob' } })
  t.equal(new Set(all.map(({ id }) => id)).size, all.length)
  all.forEach(({ previous }, i) => { t.equal(previous, all[i + 1]?.hash ?? '0'.repeat(64)) })
  t.notMatch(JSON.stringify(all), admin.split('_')[2]!)
})

t.test('when a token was last used is told to the day', async t => {
  const made = await call('POST', '/v1/admin/tokens', admin, { name: 'Eve', scopes: ['admin'] })
  const today = floorTo(Date.now(), DAY_MS)
  const use = async () => Date.parse((await call('GET', `/v1/admin/tokens/${made.body.id}`, made.body.token)).body.last_used_at)
  for (const used of [await use(), await use()]) t.ok(used >= today && used % DAY_MS === 0)
  await app.database.query("update tokens set last_used_at = last_used_at - interval '3 days'")
  t.ok(await use() >= today, 'also when it was used on an earlier day')
})
