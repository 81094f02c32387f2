// Receivers that stall, senders that die or are stopped, and two instances at once: nothing is lost, held up or doubled.
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { v7 as uuid7 } from 'uuid'
import { transact, type Db } from '../../src/db/client.ts'
import { claimDelivery } from '../../src/db/deliveries.ts'
import { LANES_PER_WEBHOOK, LEASE_MS } from '../../src/jobs/deliver.ts'
import { OutgoingError } from '../../src/jobs/outgoing.ts'
import { openReceiver } from '../receiver.ts'
import { A, later, numbersOf, openPost, reach } from './post.ts'

t.test('receivers that stall hold up neither the others nor the end, and are sent it again', async t => {
  const post = await openPost(t)
  const stalling = await openReceiver(t, (response, { path }) => { if (path === '/well') response.writeHead(200).end() })
  const webhook = await post.add(stalling.url)
  for (let i = 0; i < 20; i++) await post.add(stalling.url)
  const other = await post.add(new URL('/well', stalling.url).href)
  const deliverer = post.open()
  await post.tell(...Array.from({ length: 5 }, () => ({ outage: uuid7() })))
  await deliverer.tick()
  await stalling.called(21 * LANES_PER_WEBHOOK + 5)
  while ((await post.stand(other)).some(({ state }) => state === 'pending')) await turn()
  t.equal(stalling.calls.filter(({ path }) => path === '/hook').length, 21 * LANES_PER_WEBHOOK, 'so many at once to each, and no more')
  const before = performance.now()
  await deliverer.stop()
  t.ok(performance.now() - before < 5_000)
  t.strictSame(await post.database.query('select from deliveries where leased_until is not null'), [], 'they are free for whoever comes next')
  t.match(await post.stand(webhook), Array(5).fill({ state: 'pending', attempts: 0 }))
  const next = post.open()
  await next.tick()
  await stalling.called(2 * 21 * LANES_PER_WEBHOOK + 5)
  t.equal(new Set(stalling.calls.map(({ id }) => id)).size, 5)
})

t.test('a delivery whose sender died is sent again when its time is up, with the same id, and not before', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t)
  const webhook = await post.add(receiver.url)
  let die = () => {}
  // It has sent and got its answer, and never comes to write it down.
  const dying = post.open(async (request, limits) => {
    await reach(request, limits)
    return new Promise((_resolve, reject) => { die = () => reject(new OutgoingError('aborted', 'It is over.')) })
  })
  await post.tell({ outage: A }, { outage: A })
  await dying.tick()
  await receiver.called(1)
  const heir = post.open()
  later(post, LEASE_MS - 1)
  await post.pass(heir)
  t.strictSame(numbersOf(receiver), [1])
  later(post, 1)
  await post.pass(heir)
  t.strictSame(numbersOf(receiver), [1, 1, 2])
  t.equal(receiver.calls[0]!.id, receiver.calls[1]!.id)
  die()
  await dying.settle()
  t.match(await post.stand(webhook), [{ state: 'delivered', attempts: 1, log: [204] }, { state: 'delivered', attempts: 1 }], 'who comes too late changes nothing')
})

t.test('of two that take a delivery at the same moment one gets it, and the other does not wait', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t, response => response.writeHead(500).end())
  const webhook = await post.add(receiver.url)
  await post.tell({ outage: A })
  await post.pass(post.open())
  later(post, 5_000)
  const take = (db: Db) => claimDelivery(db, webhook, new Date(post.now.getTime() + LEASE_MS), post.now)
  await transact(post.database, async tx => {
    t.match(await take(tx), { number: 1 })
    t.equal(await take(post.database), undefined)
  })
})

t.test('two instances lose nothing, send each news once, and one may be stopped at any moment', async t => {
  const post = await openPost(t)
  const receiver = await openReceiver(t, (response, _received, times) => response.writeHead(times % 7 === 0 ? 500 : 200).end())
  const paths = ['/one', '/two', '/three']
  for (const path of paths) await post.add(new URL(path, receiver.url).href)
  const outages = Array.from({ length: 5 }, () => uuid7())
  let [left, right] = [post.open(), post.open()]
  const isPending = async () => (await post.database.query("select from deliveries where state = 'pending' limit 1")).length > 0
  for (let round = 0; round < 12; round++) {
    await post.tell(...outages.map(outage => ({ outage })))
    await Promise.all([left.tick(), right.tick()])
    if (round % 4 === 3) await Promise.all([left.stop().then(() => { left = post.open() }), right.settle()])
    else if (round % 2 === 0) await Promise.all([left.settle(), right.settle()])
    later(post, 10_000)
  }
  for (let i = 0; i < 100 && await isPending(); i++) {
    await Promise.all([post.pass(left), post.pass(right)])
    later(post, 3_600_000)
  }
  t.notOk(await isPending())
  t.equal((await post.database.query("select from deliveries where state = 'delivered'")).length, 180)
  for (const path of paths) {
    for (const outage of outages) {
      const numbers = receiver.calls.filter(call => call.path === path && call.news.data.id === outage).map(({ news }) => news.data.number as number)
      t.strictSame(numbers, numbers.toSorted((a, b) => a - b), 'in order')
      t.equal(new Set(numbers).size, 12, 'none is lost')
    }
  }
  const failures = Math.floor(receiver.calls.length / 7)
  const again = receiver.calls.length - 180 - failures
  t.ok(again >= 0 && again <= 3 * paths.length * LANES_PER_WEBHOOK, `${again} were sent again because their sender was stopped`)
  t.strictSame(post.errors, [])
})
