import t from 'tap'
import type { Reading, Transition } from '../../src/core/outages.ts'
import { TRANSITION_TYPES, type Scope } from '../../src/core/vocabulary.ts'
import { wordsFor } from '../../src/core/words.ts'

const NAMES = {
  region: (code: string) => ({ CA: 'Canada', 'CA-ON': 'Ontario', ZZ: 'Unknown' })[code] ?? code,
  deviceClass: (slug: string) => ({ iphone: 'iPhone', unknown: 'Not said' })[slug] ?? slug
}
const EVERYWHERE: Scope = { region: '*', deviceClass: '*' }
const AT = Date.parse('2012-11-18T18:10:00Z')

interface Figures { down?: number, expected?: number, scope?: Scope, share?: Transition['share'], again?: boolean }

function say (type: Transition['type'], { down = 31, expected = 4, scope = EVERYWHERE, share = null, again = false }: Figures = {}): string {
  const reading: Reading = { down, expected, bound: 9, score: 12, chart: share === null ? 'count×3' : 'share×5', since: AT - 600_000 }
  return wordsFor({ type, state: type === 'moved' ? 'confirmed' : type, at: AT, scope, reading, again, share }, NAMES)
}

t.test('each step of an outage is one sentence', async t => {
  const scope = { region: 'CA-ON', deviceClass: 'iphone' }
  const table: [string, string][] = [
    [say('suspected'), '31 people say it fails where 4 are usual at this hour.'],
    [say('suspected', { scope }), '31 people say it fails where 4 are usual at this hour; iPhone in Ontario most of all.'],
    [say('confirmed'), 'Too many for chance: 31 people say it fails where 4 are usual at this hour.'],
    [say('confirmed', { scope }), 'Too many for chance: 31 people say it fails where 4 are usual at this hour; iPhone in Ontario most of all.'],
    [say('confirmed', { scope, again: true }), 'Reports rise again: 31 people say it fails where 4 are usual at this hour.'],
    [say('moved'), 'Reports now stand out everywhere: 31 people say it fails where 4 are usual at this hour.'],
    [say('moved', { scope }), 'Reports now stand out for iPhone in Ontario most of all: 31 people say it fails where 4 are usual at this hour.'],
    [say('recovering', { scope }), 'Reports fall back towards what is usual.'],
    [say('resolved', { scope }), 'Reports have stayed well below their peak; we take it as over.'],
    [say('dismissed', { scope }), 'Reports fell back before they could confirm an outage.']
  ]
  for (const [said, wanted] of table) t.equal(said, wanted)
})

t.test('whom it hits is named as people name it, or said not to have been named', async t => {
  const table: [Scope, string][] = [
    [{ region: 'CA', deviceClass: '*' }, 'Canada'],
    [{ region: '*', deviceClass: 'iphone' }, 'iPhone'],
    [{ region: 'CA', deviceClass: 'iphone' }, 'iPhone in Canada'],
    [{ region: 'ZZ', deviceClass: '*' }, 'a place not named'],
    [{ region: '*', deviceClass: 'unknown' }, 'a device not named'],
    [{ region: 'ZZ', deviceClass: 'iphone' }, 'iPhone in a place not named'],
    [{ region: 'CA-ON', deviceClass: 'unknown' }, 'a device not named in Ontario'],
    [{ region: 'ZZ', deviceClass: 'unknown' }, 'a device not named in a place not named'],
    [{ region: 'GB', deviceClass: 'mac' }, 'mac in GB']
  ]
  for (const [scope, wanted] of table) t.equal(say('suspected', { scope }), `31 people say it fails where 4 are usual at this hour; ${wanted} most of all.`)
})

t.test('one person says, one is usual, and less than half of one is fewer than one', async t => {
  const table: [number, number, string][] = [
    [1, 0.2, '1 person says it fails where fewer than one is usual at this hour.'],
    [7.5, 0.49, '8 people say it fails where fewer than one is usual at this hour.'],
    [9, 0.5, '9 people say it fails where one is usual at this hour.'],
    [9, 1.49, '9 people say it fails where one is usual at this hour.'],
    [9.4, 1.5, '9 people say it fails where 2 are usual at this hour.'],
    [0, 3, '0 people say it fails where 3 are usual at this hour.']
  ]
  for (const [down, expected, wanted] of table) t.equal(say('suspected', { down, expected }), wanted)
})

t.test('when the share stood out it is told, before whom it hits', async t => {
  const share = { seen: 0.7249, expected: 0.096 }
  t.equal(say('suspected', { share }), '31 people say it fails where 4 are usual at this hour, 72% of all who report where 10% is usual.')
  t.equal(say('confirmed', { share, scope: { region: 'CA', deviceClass: '*' } }),
    'Too many for chance: 31 people say it fails where 4 are usual at this hour, 72% of all who report where 10% is usual; Canada most of all.')
  t.equal(say('confirmed', { share, again: true }), 'Reports rise again: 31 people say it fails where 4 are usual at this hour, 72% of all who report where 10% is usual.')
})

t.test('no sentence claims more than people said', async t => {
  for (const type of TRANSITION_TYPES) {
    t.notMatch(say(type), /\b(is|are) down\b|outage (is|has)|broken/)
    t.match(say(type), /^[A-Z0-9][^.]*\.$/)
  }
})
