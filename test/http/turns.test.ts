import { createServer, IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { takeTurns } from '../../src/http/turns.ts'

/** A server that does not listen: what it begins, and how requests come to it. */
function open (turns = { turnMax: 3, arrivingMax: 1, waitingMax: 8 }) {
  const begun: string[] = []
  const server = createServer(({ url }) => { begun.push(url!) })
  takeTurns(server, turns)
  function come (...names: string[]): IncomingMessage[] {
    return names.map(name => {
      const message = new IncomingMessage(new Socket())
      message.url = name
      server.emit('request', message, new ServerResponse(message))
      return message
    })
  }
  return { begun, come, arrive: () => server.emit('connection', new Socket()) }
}

t.test('a turn begins no more requests than it may, and the others follow in the order in which they came', async t => {
  const { begun, come } = open()
  come('a', 'b')
  t.strictSame(begun, [], 'those of one turn are begun together')
  come('c', 'd', 'e')
  await nextTurn()
  t.strictSame(begun, ['a', 'b', 'c'])
  come('f', 'g')
  await nextTurn()
  t.strictSame(begun, ['a', 'b', 'c', 'd', 'e', 'f'], 'nobody goes before who waits')
  await nextTurn()
  t.strictSame(begun, ['a', 'b', 'c', 'd', 'e', 'f', 'g'])
  await nextTurn()
  come('h')
  await nextTurn()
  t.equal(begun.at(-1), 'h', 'and after a rest again')
})

t.test('what comes while others are begun has its turn', async t => {
  const begun: string[] = []
  const server = createServer(({ url }) => {
    begun.push(url!)
    if (url!.length < 3) come(`${url}'`)
  })
  takeTurns(server, { turnMax: 2, arrivingMax: 1, waitingMax: 8 })
  const come = (name: string) => {
    const message = Object.assign(new IncomingMessage(new Socket()), { url: name })
    server.emit('request', message, new ServerResponse(message))
  }
  for (const name of ['a', 'b', 'c']) come(name)
  for (const count of [2, 4, 6, 8, 9]) {
    await nextTurn()
    t.equal(begun.length, count)
  }
  t.strictSame(begun, ['a', 'b', 'c', "a'", "b'", "c'", "a''", "b''", "c''"])
})

t.test('while connections arrive turns are short, so that they are let in', async t => {
  const { begun, come, arrive } = open()
  come('a', 'b', 'c', 'd', 'e', 'f')
  arrive()
  await nextTurn()
  t.strictSame(begun, ['a'])
  await nextTurn()
  t.strictSame(begun, ['a', 'b', 'c', 'd'], 'and as long as usual afterwards')
})

t.test('no more wait than may: further ones are begun as they come', async t => {
  const { begun, come } = open({ turnMax: 1, arrivingMax: 1, waitingMax: 2 })
  come('a', 'b', 'c')
  t.strictSame(begun, ['c'])
  await nextTurn()
  await nextTurn()
  t.strictSame(begun, ['c', 'a', 'b'])
})

t.test('who has gone when its turn comes is passed over', async t => {
  const { begun, come } = open({ turnMax: 1, arrivingMax: 1, waitingMax: 8 })
  const [, gone] = come('a', 'b', 'c')
  gone!.destroy()
  for (let i = 0; i < 3; i++) await nextTurn()
  t.strictSame(begun, ['a', 'c'])
})
