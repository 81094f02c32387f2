import { isIPv4 } from 'node:net'
import t from 'tap'
import { findAddress } from '../src/serve.ts'

t.test('a name is listened on at one address, an IPv4 one if it has any; an address is itself', async t => {
  t.ok(isIPv4(await findAddress('localhost')))
  t.strictSame(await Promise.all(['0.0.0.0', '::', '::1'].map(findAddress)), ['0.0.0.0', '::', '::1'])
  await t.rejects(findAddress('nowhere.invalid'))
})
