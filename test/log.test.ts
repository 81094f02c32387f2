import { DrizzleQueryError } from 'drizzle-orm'
import t from 'tap'
import { serializeError } from '../src/log.ts'

t.test('an error of the database is told without what people sent', async t => {
  const refused = Object.assign(new Error('duplicate key value: Key (text)=(my number is 555)'), {
    code: '23505', detail: 'Key (text)=(my number is 555)', constraint: 'comments_pkey', table: 'comments', routine: '_bt_check_unique'
  })
  const told = serializeError(new DrizzleQueryError('insert into comments values ($1)', ['my number is 555'], refused))
  t.notMatch(JSON.stringify(told), /555/)
  t.match(told, { cause: { code: '23505', constraint: 'comments_pkey', table: 'comments' } })
  t.match(told['stack'], /^\s+at /)
})

t.test('a parser\'s error is told without the piece of input it quotes', async t => {
  try {
    JSON.parse('{"comment": call me at 555')
  } catch (error) {
    t.notMatch(JSON.stringify(serializeError(error)), /555/)
  }
})

t.test('an error of our own keeps its sentence', async t => {
  t.match(serializeError(new Error('Judging has not begun.')), { type: 'Error', message: 'Judging has not begun.' })
  t.strictSame(serializeError('text'), { type: 'string' })
})
