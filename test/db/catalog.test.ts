import t from 'tap'
import { UNKNOWN_DEVICE_CLASS } from '../../src/core/vocabulary.ts'
import { catalog, type CatalogService } from '../../src/db/catalog.ts'

const { services, deviceClasses, symptoms } = catalog
const deviceSlugs = deviceClasses.map(({ slug }) => slug)

function serviceOf (slug: string): CatalogService {
  const found = services.find(service => service.slug === slug)
  if (found === undefined) throw new Error(`${slug} is not in the catalog`)
  return found
}

/** What is wrong with a list of slugs and names: nothing, when all is well. */
function faultsOf (things: readonly { slug: string, name: string }[]): string[] {
  const slugs = things.map(({ slug }) => slug)
  const names = things.map(({ name }) => name)
  return [
    ...slugs.filter(slug => !/^[a-z0-9-]{1,64}$/.test(slug)),
    ...slugs.filter((slug, index) => slugs.indexOf(slug) !== index),
    ...names.filter((name, index) => name.trim() === '' || name.trim() !== name || names.indexOf(name) !== index)
  ]
}

t.test('every slug is valid, and nothing stands twice', async t => {
  for (const things of [services, deviceClasses, symptoms]) t.strictSame(faultsOf(things), [])
  for (const { slug, components } of services) t.strictSame(faultsOf(components), [], slug)
})

t.test('every service has a group, and a group stands together', async t => {
  const groups = services.map(({ group }) => group)
  t.notOk(groups.includes(null) || groups.includes(''))
  const headings = groups.filter((group, index) => group !== groups[index - 1])
  t.strictSame(headings, [...new Set(headings)], 'no heading comes a second time')
})

t.test('every prior is a positive number of reports an hour', async t => {
  t.strictSame(services.filter(({ expectedPerHour }) => !(expectedPerHour > 0 && Number.isFinite(expectedPerHour))), [])
})

t.test('every fallback names a device class, and says what to use or that there is nothing', async t => {
  for (const { slug, fallbacks } of services) {
    for (const [deviceClass, fallback] of Object.entries(fallbacks)) {
      t.ok(deviceSlugs.includes(deviceClass), `${slug} on ${deviceClass}`)
      t.ok(fallback === null || fallback.trim().length > 0, `${slug} on ${deviceClass}`)
    }
    t.notOk(UNKNOWN_DEVICE_CLASS in fallbacks, `${slug}: what nobody named has no known fallback`)
  }
})

t.test('iMessage falls back to SMS on an iPhone, and to nothing on iPads and Macs', async t => {
  t.strictSame(serviceOf('imessage').fallbacks, { iphone: 'SMS', 'ipad-cellular': null, 'ipad-wifi': null, mac: null })
  t.notOk('apple-watch' in serviceOf('imessage').fallbacks, 'a watch depends on its iPhone: not known')
})

t.test('FaceTime falls back to a phone call on an iPhone, and to nothing on iPads and Macs', async t => {
  t.strictSame(serviceOf('facetime').fallbacks, { iphone: 'Phone call', 'ipad-cellular': null, 'ipad-wifi': null, mac: null })
})

t.test('other messengers fall back to SMS on phones only', async t => {
  for (const slug of ['whatsapp', 'signal', 'telegram', 'messenger']) t.strictSame(serviceOf(slug).fallbacks, { iphone: 'SMS', android: 'SMS' }, slug)
})

t.test('a report that names no device class has one to carry, and a newcomer finds the usual names', async t => {
  t.ok(deviceSlugs.includes(UNKNOWN_DEVICE_CLASS))
  t.strictSame(serviceOf('imessage').components.slice(0, 3).map(({ slug }) => slug), ['activation', 'sending', 'receiving'])
  for (const slug of ['aws', 'github', 'gmail', 'youtube', 'netflix', 'interac', 'rogers', 'verizon', 'steam']) t.ok(serviceOf(slug), slug)
})
