import t from 'tap'
import { SourceItem } from '../../src/http/sources.ts'
import { openTestApp } from '../app.ts'
import { exactly, problem } from './contract.ts'

async function open (t: Parameters<typeof openTestApp>[0], allowPrivateTargets = false) {
  const app = await openTestApp(t, { allowPrivateTargets })
  const headers = { authorization: `Bearer ${await app.token(['catalog'])}` }
  return {
    app,
    call: (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, payload?: object, more: Record<string, string> = {}) =>
      app.ask(`/v1/admin/sources${path}`, { method, headers: { ...headers, ...more }, ...(payload === undefined ? {} : { payload }) })
  }
}

t.test('an editor adds a page, switches it on and retires it; each change needs the newest version', async t => {
  const { call } = await open(t)
  const made = await call('POST', '', { service: 'signal', format: 'statuspage', url: 'https://status.example.org' })
  t.equal(made.status, 201)
  exactly(t, SourceItem, made.body)
  t.match(made.body, { service: 'signal', format: 'statuspage', url: 'https://status.example.org/api/v2/summary.json', names: [], enabled: false, stale: false, retired: false },
    'a Statuspage is given by its address, and is off')
  const { id } = made.body
  const read = await call('GET', `/${id}`)
  const match = { 'if-match': String(read.headers['etag']) }
  problem(t, await call('PATCH', `/${id}`, { enabled: true }), 'precondition-required')
  t.match((await call('PATCH', `/${id}`, { enabled: true, names: ['Signal'] }, match)).body, { enabled: true, names: ['Signal'] })
  problem(t, await call('PATCH', `/${id}`, { enabled: false }, match), 'precondition-failed')
  t.equal((await call('DELETE', `/${id}`)).status, 204)
  t.match((await call('GET', '?service=signal')).body, { items: [{ id, retired: true }], next_cursor: null })
  t.match((await call('GET', '?service=github&limit=1')).body.items, [{ service: 'github', format: 'statuspage', enabled: false }], 'those of the seed')
})

t.test('what cannot be a source is refused by the field', async t => {
  const { call } = await open(t)
  const body = { service: 'signal', format: 'feed', url: 'https://example.org/feed' }
  problem(t, await call('POST', '', { ...body, service: 'nope' }), 'invalid', ['/service'])
  problem(t, await call('POST', '', { ...body, format: 'html' }), 'invalid', ['/format'])
  problem(t, await call('POST', '', { ...body, names: [''] }), 'invalid', ['/names/0'])
  for (const url of ['ftp://example.org/', 'https://me:secret@example.org/', 'nonsense', 'http://127.0.0.1/', 'http://[::1]/', 'http://2130706433/', 'http://169.254.169.254/latest']) {
    problem(t, await call('POST', '', { ...body, url }), 'invalid', ['/url'])
  }
  t.equal((await call('POST', '', body)).status, 201)
  problem(t, await call('POST', '', body), 'conflict', ['/url'])
  const { call: local } = await open(t, true)
  t.equal((await local('POST', '', { ...body, url: 'http://127.0.0.1:9/feed' })).status, 201, 'private addresses where they are allowed')
})

t.test('a service says on which others it depends', async t => {
  const { app } = await open(t)
  const headers = { authorization: `Bearer ${await app.token(['catalog'])}` }
  const read = await app.ask('/v1/admin/services/imessage', { headers })
  t.strictSame(read.body.depends_on, ['apple-account'])
  const patch = (dependsOn: string[]) => app.ask('/v1/admin/services/imessage', {
    method: 'PATCH', headers: { ...headers, 'if-match': String(read.headers['etag']) }, payload: { depends_on: dependsOn }
  })
  problem(t, await patch(['aws', 'nope', 'imessage', 'aws']), 'invalid', ['/depends_on/1', '/depends_on/2', '/depends_on/3'])
  t.strictSame((await patch(['icloud-drive', 'aws'])).body.depends_on, ['aws', 'icloud-drive'])
})
