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
  come('a', 'b', 'c', 'd', 'e')
  t.strictSame(begun, ['a', 'b', 'c'], 'at once')
  come('f', 'g')
  await nextTurn()
  t.strictSame(begun, ['a', 'b', 'c', 'd', 'e', 'f'])
  come('h')
  t.equal(begun.length, 6, 'nobody goes before who waits')
  await nextTurn()
  t.strictSame(begun, ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'])
  await nextTurn()
  come('i')
  t.equal(begun.at(-1), 'i', 'and at once again')
})

t.test('while connections arrive turns are short, so that they are let in', async t => {
  const { begun, come, arrive } = open()
  come('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h')
  arrive()
  await nextTurn()
  t.strictSame(begun, ['a', 'b', 'c', 'd'])
  await nextTurn()
  t.strictSame(begun, ['a', 'b', 'c', 'd', 'e', 'f', 'g'], 'and as long as usual afterwards')
})

t.test('no more wait than may: further ones are begun as they come', async t => {
  const { begun, come } = open({ turnMax: 1, arrivingMax: 1, waitingMax: 2 })
  come('a', 'b', 'c', 'd')
  t.strictSame(begun, ['a', 'd'])
  await nextTurn()
  await nextTurn()
  t.strictSame(begun, ['a', 'd', 'b', 'c'])
})

t.test('who has gone when its turn comes is passed over', async t => {
  const { begun, come } = open({ turnMax: 1, arrivingMax: 1, waitingMax: 8 })
  const [, gone] = come('a', 'b', 'c')
  gone!.destroy()
  await nextTurn()
  await nextTurn()
  t.strictSame(begun, ['a', 'c'])
})
