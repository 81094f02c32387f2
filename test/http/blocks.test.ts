import t from 'tap'
import { DAY_MS } from '../../src/core/time.ts'
import { Block } from '../../src/http/blocks.ts'
import { openTestApp } from '../app.ts'
import { exactly, problem } from './contract.ts'

const app = await openTestApp(t, { now: new Date('2012-11-18T12:00:00Z') })
const headers = { authorization: `Bearer ${await app.token(['moderate'])}` }
const ask = (method: 'GET' | 'POST' | 'DELETE', path: string, payload?: object) =>
  app.ask(`/v1/admin/${path}`, { method, headers, ...(payload === undefined ? {} : { payload }) })
let nonce = 0
const report = async (address: string, service = 'imessage') => (await app.report({ service, verdict: 'down', reporter: `r${nonce++}` }, address)).body.disposition

t.test('what comes from a block is kept, quarantined with its reason, and takes no voice', async t => {
  const { status, body } = await ask('POST', 'blocks', { cidr: '198.51.100.0/24', reason: 'A script' })
  t.equal(status, 201)
  exactly(t, Block, body)
  t.match(body, { cidr: '198.51.100.0/24', network: null, reason: 'A script', expires_at: null })
  for (let i = 0; i < 4; i++) t.equal(await report(`198.51.100.${i}`), 'quarantined')
  for (const [address, disposition] of [['198.51.101.1', 'counted'], ['::ffff:198.51.100.9', 'quarantined'], ['2001:db8::1', 'counted'], ['nonsense', 'counted']] as const) {
    t.equal(await report(address), disposition, address)
  }
  const held = (await ask('GET', 'quarantine')).body.items
  t.match(held, [{ reason: 'block', count: 5 }])
  t.match((await ask('GET', 'reports?disposition=quarantined')).body.items[0], { reason: 'block' })
  t.equal((await ask('DELETE', `blocks/${body.id}`)).status, 204)
  for (const disposition of ['counted', 'counted', 'counted', 'quarantined']) t.equal(await report('198.51.100.1'), disposition, 'lifted, the network has its whole voice')
  t.match((await ask('GET', 'quarantine')).body.items.map(({ reason, count }: Record<string, unknown>) => `${reason} ${count}`).sort(), ['block 5', 'voices 1'])
  problem(t, await ask('DELETE', `blocks/${body.id}`), 'not-found')
  problem(t, await ask('GET', `blocks/${body.id}`), 'not-found')
})

t.test('a network is blocked by its key, in its service alone', async t => {
  await app.report({ service: 'imessage', verdict: 'working' }, '203.0.113.5')
  const network = (await ask('GET', 'reports?verdict=working')).body.items[0].network
  const { body } = await ask('POST', 'blocks', { network, reason: 'Too loud' })
  t.equal(await report('203.0.113.77'), 'quarantined')
  t.equal(await report('203.0.113.77', 'facetime'), 'counted')
  t.equal((await ask('DELETE', `blocks/${body.id}`)).status, 204)
})

t.test('a block ends when it expires', async t => {
  const { body } = await ask('POST', 'blocks', { cidr: '192.0.2.200', reason: 'One machine', expires_at: '2012-11-18T13:00:00Z' })
  t.equal(await report('192.0.2.200'), 'quarantined')
  t.equal(await report('192.0.2.201'), 'counted')
  app.now = new Date(app.now.getTime() + DAY_MS)
  await ask('POST', 'blocks', { cidr: '2001:db8:1::/48', reason: 'Another' })
  await app.jobs.tick()
  t.equal(await report('192.0.2.200'), 'counted')
  t.equal(await report('2001:db8:1:2::3'), 'quarantined')
  t.strictSame((await ask('GET', 'blocks')).body.items.map(({ cidr }: { cidr: string }) => cidr), ['2001:db8:1::/48', '192.0.2.200'])
  t.strictSame((await ask('GET', 'blocks?limit=1')).body.items.length, 1)
  t.strictSame((await ask('GET', `blocks/${body.id}`)).body, body)
})

t.test('a block that says nothing sensible is refused', async t => {
  const refusals: [object, string, string[]][] = [
    [{ reason: 'x' }, 'invalid', ['/cidr']],
    [{ cidr: '192.0.2.0/24', network: 'a'.repeat(32), reason: 'x' }, 'invalid', ['/cidr']],
    [{ cidr: '192.0.2.0/33', reason: 'x' }, 'invalid', ['/cidr']],
    [{ cidr: '0.0.0.0/0', reason: 'x' }, 'invalid', ['/cidr']],
    [{ cidr: '::/0', reason: 'x' }, 'invalid', ['/cidr']],
    [{ cidr: '127.1/8', reason: 'x' }, 'invalid', ['/cidr']],
    [{ cidr: '0x7f.0.0.1', reason: 'x' }, 'invalid', ['/cidr']],
    [{ network: '192.0.2.0', reason: 'x' }, 'invalid', ['/network']],
    [{ cidr: '192.0.2.0/24' }, 'invalid', ['/reason']],
    [{ cidr: '192.0.2.0/24', reason: 'x', expires_at: '2012-11-18T11:00:00Z' }, 'invalid', ['/expires_at']],
    [{ cidr: '192.0.2.0/24', reason: 'x', until: 'x' }, 'malformed', ['/until']]
  ]
  for (const [body, name, pointers] of refusals) problem(t, await ask('POST', 'blocks', body), name, pointers)
})
