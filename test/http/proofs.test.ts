import { createChallenge, solveChallenge } from 'altcha-lib'
import { deriveKey } from 'altcha-lib/algorithms/pbkdf2'
import t from 'tap'
import { addressOf, openTestApp } from '../app.ts'
import { problem, type Answer } from './contract.ts'

const app = await openTestApp(t, { now: new Date('2012-11-18T23:59:30Z') })
await app.database.query("update services set proof_required = true where slug = 'imessage'")
let people = 0
// The catalog is read again by its clock; a second app on the same database has read it just now.
const asked = await openTestApp(t, { now: app.now, database: { connection: app.owner, service: app.connection } })
const report = (body: object, headers = {}) => asked.report({ service: 'imessage', verdict: 'down', ...body }, addressOf(people++), headers)
type Challenge = Parameters<typeof solveChallenge>[0]['challenge']
const encode = (challenge: unknown, solution: unknown) => Buffer.from(JSON.stringify({ challenge, solution })).toString('base64')

async function solve (answer: Answer): Promise<string> {
  const challenge = answer.body.challenge as Challenge
  return encode(challenge, await solveChallenge({ challenge, deriveKey }))
}
const count = async () => (await asked.database.query('select 1 from reports')).length

t.test('where it is switched on, and nowhere else, a report needs a proof, which is good once', async t => {
  t.equal((await report({ service: 'facetime' })).status, 201)
  t.equal((await report({ service: 'facetime', proof: 'whatever' })).status, 201)
  const first = await report({})
  const { challenge, ...rest } = first.body
  problem(t, { ...first, body: rest }, 'proof-required')
  t.match(challenge, { parameters: { algorithm: 'PBKDF2/SHA-256', expiresAt: Number, data: { service: 'imessage' } }, signature: /^[0-9a-f]{64}$/ })
  const proof = await solve(first)
  t.equal((await report({ proof })).status, 201)
  for (const [what, wrong] of [
    ['used', proof], ['nothing', ''], ['no base64', '%%%'], ['no payload', Buffer.from('{}').toString('base64')],
    ['not solved', encode(challenge, { counter: 1, derivedKey: '0'.repeat(64) })],
    ['another challenge', encode({ ...challenge, parameters: { ...challenge.parameters, data: { service: 'facetime' } } }, JSON.parse(Buffer.from(proof, 'base64').toString()).solution)],
    ['a later end', encode({ ...challenge, parameters: { ...challenge.parameters, expiresAt: challenge.parameters.expiresAt + 60 } }, JSON.parse(Buffer.from(proof, 'base64').toString()).solution)]
  ] as const) {
    const refused = await report({ proof: wrong })
    t.equal(refused.status, 428, what)
    t.ok(refused.body.challenge.signature !== challenge.signature, `${what}: a fresh challenge`)
  }
  t.equal(await count(), 3)
})

t.test('a challenge of our own making, or an easier one, is not ours', async t => {
  for (const cost of [1, 5_000]) {
    const forged = await createChallenge({ algorithm: 'PBKDF2/SHA-256', cost, counter: 1, expiresAt: new Date(Date.now() + 60_000), data: { service: 'imessage' }, deriveKey, hmacSignatureSecret: 'x', hmacKeySignatureSecret: 'y' })
    t.equal((await report({ proof: encode(forged, await solveChallenge({ challenge: forged, deriveKey })) })).status, 428)
  }
})

t.test('one made before midnight is good after it, and one of two days ago is not', async t => {
  const [one, other] = [await report({}), await report({})]
  asked.now = new Date(asked.now.getTime() + 60_000)
  t.equal((await report({ proof: await solve(one) })).status, 201)
  asked.now = new Date(asked.now.getTime() + 2 * 86_400_000)
  await asked.jobs.tick()
  t.equal((await report({ proof: await solve(other) })).status, 428)
})

t.test('whoever has a token needs none, a wrong one opens nothing, and a wrong body costs no proof', async t => {
  t.equal((await report({}, { authorization: `Bearer ${await app.token(['import'])}` })).status, 201)
  problem(t, await report({}, { authorization: 'Bearer gsw_0_0' }), 'unauthorized')
  problem(t, await report({}, { authorization: `Bearer ${await app.token(['moderate'])}` }), 'forbidden')
  const proof = await solve(await report({}))
  problem(t, await report({ proof, device_class: 'abacus' }), 'invalid', ['/device_class'])
  t.equal((await report({ proof })).status, 201)
})
