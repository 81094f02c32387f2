import t from 'tap'
import type { Incident, Word } from '../../../src/core/official/formats.ts'
import { newWords, type KnownWord, type ReadingTime } from '../../../src/core/official/words.ts'
import { HOUR_MS, MINUTE_MS } from '../../../src/core/time.ts'

const NOW = Date.parse('2026-03-02T12:00:00Z')
const ALL_OF_IT = { names: [], components: [] }
const time = (more: Partial<ReadingTime> = {}): ReadingTime => ({ seenAt: NOW, lastReadAt: NOW - MINUTE_MS, backdates: false, ...more })
const same = (text: string) => text
const word = (minutesAgo: number, status: Word['status'] = 'down', text = 'We know.'): Word => ({ publishedAt: NOW - minutesAgo * MINUTE_MS, status, text })
const incident = (words: Word[], more: Partial<Incident> = {}): Incident => ({ id: 'a', title: 'Mail is slow', url: null, affected: [], words, ...more })
const read = (incidents: Incident[], known: KnownWord[] = [], watched: Parameters<typeof newWords>[2] = ALL_OF_IT, at = time()) => newWords({ incidents }, known, watched, at, same)

t.test('a reading adds each word once, in their order; reading the same page again adds nothing', async t => {
  const page = [incident([word(30), word(10, 'degraded', 'Better.')])]
  const added = read(page)
  t.match(added, [{ incident: 'a', status: 'down', publishedAt: NOW - 30 * MINUTE_MS, seenAt: NOW, title: 'Mail is slow' }, { status: 'degraded', text: 'Better.' }])
  t.strictSame(read(page, added), [])
  t.match(read([incident([...page[0]!.words, word(1, 'up', 'Over.')])], added), [{ status: 'up', text: 'Over.' }], 'only what is new')
})

t.test('a word that was changed is a further word', async t => {
  const added = read([incident([word(30)])])
  t.match(read([incident([word(30, 'down', 'We knew.')])], added), [{ text: 'We knew.', publishedAt: NOW - 30 * MINUTE_MS }])
  t.match(read([incident([word(40)])], added), [{ publishedAt: NOW - 40 * MINUTE_MS }], 'another time as well')
})

t.test('an incident that has gone from the page is over when we see that, and open again when it comes back', async t => {
  const added = read([incident([word(30)])])
  const gone = read([], added)
  t.match(gone, [{ incident: 'a', status: 'up', publishedAt: NOW, text: 'It is no longer on the page.' }])
  t.strictSame(read([], [...added, ...gone], ALL_OF_IT, time({ seenAt: NOW + 1 })), [], 'said once')
  const back = read([incident([word(30)])], [...added, ...gone], ALL_OF_IT, time({ seenAt: NOW + MINUTE_MS }))
  t.match(back, [{ status: 'down', publishedAt: NOW + MINUTE_MS, text: 'It is on the page again.' }])
  t.match(read([], [...added, ...gone, ...back], ALL_OF_IT, time({ seenAt: NOW + 2 * MINUTE_MS })), [{ status: 'up' }], 'and may go again')
})

t.test('what was over before the page was first read, or long before the reading before, is the past', async t => {
  const over = [incident([word(30), word(20, 'up')])]
  t.strictSame(read(over, [], ALL_OF_IT, time({ lastReadAt: null })), [])
  t.equal(read(over).length, 2, 'it came and went between two readings, or nearly')
  t.strictSame(read([incident([{ ...word(0), publishedAt: NOW - 3 * HOUR_MS }, { ...word(0, 'up'), publishedAt: NOW - 2 * HOUR_MS }])]), [])
  t.equal(read([incident([word(30)])], [], ALL_OF_IT, time({ lastReadAt: null })).length, 1, 'what is open is told, whenever it began')
})

t.test('an incident is about a service by what it affects; where it does not say, by its title; without names always', async t => {
  const cases: [names: string[], affected: string[], title: string, concerned: boolean][] = [
    [[], ['Anything'], '', true],
    [['iMessage'], ['imessage'], '', true],
    [['iMessage'], ['FaceTime'], 'iMessage and FaceTime', false],
    [['Maps Routing & Navigation'], ['Maps Routing and Navigation', 'maps routing – navigation'], '', true],
    [['Gmail'], [], 'Gmail: messages are delayed', true],
    [['Mail'], [], 'Gmail: messages are delayed', false],
    [['Photos', 'iCloud Photos'], ['Photos'], '', true]
  ]
  for (const [names, affected, title, concerned] of cases) {
    t.equal(read([incident([word(1)], { affected, title })], [], { names, components: [] }).length === 1, concerned, `${names} / ${affected} / ${title}`)
  }
})

t.test('components are those that it affects or whose name its title has', async t => {
  const components = [{ slug: 'git-operations', name: 'Git operations' }, { slug: 'pages', name: 'Pages' }, { slug: 'actions', name: 'Actions' }]
  const [added] = read([incident([word(1)], { affected: ['Git Operations'], title: 'Trouble with Pages' })], [], { names: [], components })
  t.strictSame(added!.components, ['git-operations', 'pages'])
})

t.test('where a format back-dates, no word is older than the last reading without it', async t => {
  t.match(read([incident([word(30)])], [], ALL_OF_IT, time({ backdates: true })), [{ publishedAt: NOW - MINUTE_MS }])
})
