// What was judged live, exported by the public call and judged again by `groundswell replay`: the same outages.
import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import t from 'tap'
import { MINUTE_MS } from '../../src/core/time.ts'
import { replay } from '../../src/replay.ts'
import type { Said } from '../../src/replayed.ts'
import { addressOf, openTestApp, type TestApp } from '../app.ts'

async function judgeAgain (...texts: string[]): Promise<Said[]> {
  let said = ''
  const out = new Writable({ write (chunk: Buffer, _, done) { said += chunk.toString(); done() } })
  const err = new Writable({ write (_chunk, _, done) { done() } })
  await replay(texts.map((text, index) => ({ name: `export ${index}`, bytes: Readable.from([Buffer.from(text)]) })), { out, err })
  await once(out.end(), 'finish')
  return said.split('\n').filter(line => line !== '').map(line => JSON.parse(line) as Said)
}

/** What the detector said live of a service, outage after outage, as replay puts it. */
async function saidLive (app: TestApp, service: string): Promise<object[]> {
  const { items } = (await app.ask(`/v1/outages?service=${service}&limit=200`)).body
  const told: object[] = []
  for (const { id } of items.reverse()) {
    const { timeline } = (await app.ask(`/v1/outages/${id}`)).body
    for (const { at, state, actor, reading } of timeline) if (actor === 'detector') told.push({ at, state, score: Math.round(reading.score * 1000) / 1000 })
  }
  return told
}

t.test('an outage that was found live is found again from its export: through gaps, withheld alarms, regions and device classes', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T17:47:00Z') })
  let spoken = 0
  const speak = async (count: number, body: object) => {
    await Promise.all(Array.from({ length: count }, () => app.report({ service: 'imessage', verdict: 'down', ...body }, addressOf(spoken++))))
  }
  const pass = async (minutes: number, each: () => Promise<void> = async () => {}) => {
    for (let minute = 0; minute < minutes; minute++) {
      await each()
      await app.passMinute()
    }
  }
  await app.passMinute()
  await pass(20, async () => { if (app.now.getUTCMinutes() % 7 === 0) await speak(1, { verdict: 'working', region: 'GB' }) })
  // Six networks alarm nobody.
  for (let i = 0; i < 6; i++) for (const reporter of ['a', 'b', 'c']) await app.report({ service: 'imessage', verdict: 'down', reporter }, `203.0.${i}.1`)
  await pass(12)
  // A quarter of an hour in which nobody watched.
  app.now = new Date(app.now.getTime() + 15 * MINUTE_MS)
  await pass(30)
  await pass(14, async () => {
    await speak(3, { region: 'CA-ON', device_class: 'iphone' })
    await speak(1, { verdict: 'degraded', region: 'CA-QC' })
    await speak(1, { device_class: 'mac' })
    await speak(1, { verdict: 'working', region: 'GB' })
  })
  // What comes late is in the curve, and was never judged.
  for (let i = 0; i < 9; i++) await speak(1, { observed_at: new Date(app.now.getTime() - 45 * MINUTE_MS).toISOString() })
  await app.passQuietly(150)
  const live = await saidLive(app, 'imessage')
  t.match(live.map(each => (each as Said).state).join(' '), /suspected.*confirmed.*recovering.*resolved/, 'there was an outage from its begin to its end')

  const { text } = await app.ask('/v1/services/imessage/windows')
  const lines = text.split('\n').slice(0, -1).map(line => JSON.parse(line))
  t.ok(lines.some(line => 'gap' in line) && lines.some(line => 'withheld' in line) && lines.some(line => line.region === 'CA-ON' && line.device_class === 'iphone'))
  const again = await judgeAgain(text)
  t.strictSame(again.map(({ at, state, score }) => ({ at, state, score })), live)
  const [outage] = (await app.ask('/v1/outages?service=imessage')).body.items
  t.match(again.at(-1), { scope: outage.scope, onset_at: outage.onset_at, severity: Math.round(outage.severity * 1000) / 1000 })

  const middle = new Date(app.now.getTime() - 155 * MINUTE_MS).toISOString()
  const parts = await Promise.all([`to=${middle}`, `from=${middle}`].map(async query => (await app.ask(`/v1/services/imessage/windows?${query}`)).text))
  t.strictSame(await judgeAgain(...parts), again, 'in two exports, one after the other, as well')
  const without = await judgeAgain(text.split('\n').filter(line => !line.includes('withheld')).join('\n'))
  t.notSame(without, again, 'the alarms that were withheld are needed for it')
})

t.test('what was expected of a service before it was learnt is in its export', async t => {
  const app = await openTestApp(t, { now: new Date('2012-11-18T18:00:00Z') })
  const headers = { authorization: `Bearer ${await app.token(['catalog'])}` }
  const { status } = await app.ask('/v1/admin/services', { method: 'POST', headers, payload: { slug: 'busy', name: 'Busy', expected_per_hour: 120 } })
  t.equal(status, 201)
  for (let minute = 0; minute < 40; minute++) {
    await Promise.all(Array.from({ length: (minute < 25 ? 2 : 25) }, (_, i) => app.report({ service: 'busy', verdict: 'down' }, addressOf(minute * 25 + i))))
    await app.passMinute()
  }
  await app.passMinute()
  const live = await saidLive(app, 'busy')
  t.ok(live.length > 0)
  const { text } = await app.ask('/v1/services/busy/windows')
  t.match(text, /"expected_per_hour":120/)
  t.strictSame((await judgeAgain(text)).map(({ at, state, score }) => ({ at, state, score })), live)
  t.notSame((await judgeAgain(text.replace('"expected_per_hour":120,', ''))).map(({ at, state, score }) => ({ at, state, score })), live)
})
