// Every admin operation, found in the description, against every kind of wrong credentials.
import { createHash } from 'node:crypto'
import { request } from 'node:http'
import t from 'tap'
import { DAY_MS } from '../../src/core/time.ts'
import { TOKEN_SCOPES, type TokenScope } from '../../src/core/vocabulary.ts'
import { createToken, revokeToken } from '../../src/http/tokens.ts'
import { openTestApp } from '../app.ts'
import { problem } from './contract.ts'

const app = await openTestApp(t)
const { body: { paths } } = await app.ask('/openapi.json')
const ID = '0192a1b2-0000-7000-8000-000000000000'
type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'
const METHODS = ['GET', 'POST', 'PATCH', 'PUT', 'DELETE'] as const satisfies readonly Method[]
const operations = Object.entries<object>(paths).filter(([path]) => path.startsWith('/v1/admin/'))
  .flatMap(([path, methods]) => Object.keys(methods).map(method => ({ method: method.toUpperCase() as Method, path: path.replaceAll(/\{\w+\}/g, ID) })))

const now = new Date()
const make = async (scopes: TokenScope[], expiresAt: Date | null = null) =>
  (await createToken(app.database, { name: 'test', scopes, expiresAt }, 'test', now)).token
const good = await make(['admin'])
const [, id, secret] = good.split('_') as [string, string, string]
const expired = await make(['admin'], new Date(now.getTime() - 1))
const longExpired = await make(['admin'], new Date(now.getTime() - 400 * DAY_MS))
const revoked = await make(['admin'])
await revokeToken(app.database, revoked.split('_')[1]!, 'test', now)
const other = await make(['import'])
const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
const stored = createHash('sha256').update(secret).digest()

const WRONG: [string, Record<string, string>][] = [
  ['none', {}],
  ...[
    '', ' ', 'Bearer', 'Bearer ', 'Bearer  ', good, `bearer${good}`, `Token ${good}`, `Basic ${good}`, basic(`${id}:${secret}`), basic(good), `Digest ${good}`,
    `Bearer ${good} ${good}`, `Bearer ${good},`, `Bearer "${good}"`, `Bearer ${good}x`, `Bearer ${good.slice(0, -1)}`, `Bearer ${good.toUpperCase()}`,
    `Bearer gsw_${id}`, `Bearer gsw_${id}_`, `Bearer gsw__${secret}`, `Bearer _${id}_${secret}`, `Bearer gsx_${id}_${secret}`, `Bearer gsw_${id}_${secret}_${secret}`,
    `Bearer gsw_${'0'.repeat(12)}_${secret}`, `Bearer gsw_${other.split('_')[1]}_${secret}`, `Bearer gsw_${id}_${other.split('_')[2]}`,
    `Bearer gsw_${id}_${stored.toString('hex')}`, `Bearer gsw_${id}_${stored.toString('base64url')}`, `Bearer ${expired}`, `Bearer ${longExpired}`, `Bearer ${revoked}`,
    'Bearer null', 'Bearer undefined', 'Bearer admin', "Bearer gsw_' or '1'='1_x", `Bearer gsw_%00_${secret}`, `Bearer ${'a'.repeat(5_000)}`,
    'Bearer eyJhbGciOiJub25lIn0.eyJzY29wZSI6ImFkbWluIn0.'
  ].map((authorization): [string, Record<string, string>] => [authorization.slice(0, 60), { authorization }]),
  ['in a cookie', { cookie: `authorization=Bearer ${good}; token=${good}` }],
  ['in a header of another name', { 'x-api-key': good, 'x-authorization': `Bearer ${good}`, 'proxy-authorization': `Bearer ${good}` }],
  ['from an address that claims to be ours', { 'x-forwarded-for': '127.0.0.1', 'x-real-ip': '127.0.0.1', forwarded: 'for=127.0.0.1' }],
  ['with another method asked for', { 'x-http-method-override': 'GET' }]
]

t.test('no wrong credentials open any admin operation, and all get the same answer', async t => {
  t.ok(operations.length >= 6, `${operations.length} operations`)
  const answers = new Set<string>()
  for (const { method, path } of operations) {
    for (const [what, headers] of WRONG) {
      const answer = await app.ask(path, { method, headers: { ...headers, ...(method === 'GET' || method === 'DELETE' ? {} : { 'content-type': 'application/json' }) }, ...(method === 'GET' || method === 'DELETE' ? {} : { payload: '{broken' }) })
      if (answer.status !== 401) t.fail(`${method} ${path} with ${what}: ${answer.status} ${answer.text.slice(0, 200)}`)
      answers.add(JSON.stringify({ ...answer.body, request_id: '' }) + String(answer.headers['www-authenticate']) + String(answer.headers['access-control-allow-origin']))
    }
  }
  t.equal(answers.size, 1)
  for (const query of [`?token=${good}`, `?access_token=${good}`, `?authorization=Bearer%20${good}`]) problem(t, await app.ask(`/v1/admin/tokens${query}`), 'unauthorized')
})

t.test('credentials that stand twice open nothing, whichever of them is good: a proxy in front may have read the other', async t => {
  const address = await app.http.listen({ host: '127.0.0.1', port: 0 })
  const askTwice = (path: string, ...tokens: string[]) => new Promise<number>((resolve, reject) => {
    const sent = request(`${address}${path}`, { headers: ['host', 'localhost', ...tokens.flatMap(token => ['authorization', `Bearer ${token}`])] as never }, answer => {
      answer.resume()
      resolve(answer.statusCode!)
    })
    sent.on('error', reject).end()
  })
  t.equal(await askTwice('/v1/admin/tokens', good), 200)
  for (const tokens of [[good, 'x'], ['x', good], [good, good], [good, other]]) t.equal(await askTwice('/v1/admin/tokens', ...tokens), 401)
})

t.test('a token opens what its scope opens, and nothing else', async t => {
  const tokens = new Map(await Promise.all(TOKEN_SCOPES.map(async scope => [scope, await make([scope])] as const)))
  for (const { method, path } of operations) {
    const opened: string[] = []
    for (const [scope, token] of tokens) {
      const { status } = await app.ask(path, { method, headers: { authorization: `Bearer ${token}`, 'content-type': 'text/nothing' }, ...(method === 'GET' ? {} : { payload: 'x' }) })
      if (status === 401) t.fail(`${method} ${path} does not know its own token`)
      if (status !== 403) opened.push(scope)
    }
    t.ok(opened.includes('admin') && opened.length <= 2, `${method} ${path}: ${opened.join(', ')}`)
    if (/\/(tokens|audit)\b/.test(path)) t.strictSame(opened, ['admin'], path)
  }
})

t.test('a path below the prefix that nobody has described is as closed', async t => {
  for (const path of ['/v1/admin', '/v1/admin/', '/v1/admin/nothing', '/v1/admin//tokens', '/v1/admin/tokens/', '/v1/admin/..%2ftokens', '/v1/admin/%74okens', '/v1/admin/tokens;x=1', '/V1/admin/tokens', '/v1/./admin/tokens']) {
    for (const method of METHODS) {
      const { status, text } = await app.ask(path, { method })
      if (![401, 404].includes(status)) t.fail(`${method} ${path}: ${status} ${text.slice(0, 200)}`)
    }
  }
})
