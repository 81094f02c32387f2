// What editors keep: services, their components, device classes and symptoms. Workarounds stand in workarounds.ts.
import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import { floorTo, MINUTE_MS } from '../core/time.ts'
import { UNKNOWN_DEVICE_CLASS } from '../core/vocabulary.ts'
import {
  insertComponent, insertService, insertWord, updateComponent, updateService, updateWord,
  type Catalog, type Named, type Service, type ServiceChange, type WordKind
} from '../db/services.ts'
import { findNamed, oneLine } from './admin.ts'
import { editThings, RetiredMembers, tellRetired, type EditOptions } from './editing.ts'
import { At, atOrNull, Slug, type Routes } from './schemas.ts'

const NAME_MAX = 100
const FALLBACKS_MAX = 100
const DEPENDENCIES_MAX = 50

const Fallbacks = z.array(z.strictObject({ device_class: Slug, fallback: oneLine(200).nullable().describe('Null: there is none') })).max(FALLBACKS_MAX)
  .describe('What people can use instead, by device class; one that is not listed: nobody has said')
const DependsOn = z.array(Slug).max(DEPENDENCIES_MAX).describe('Services that it needs to work, as far as is publicly known: outages of both at once point at each other')
const ServiceMembers = {
  name: oneLine(NAME_MAX),
  group: oneLine(NAME_MAX).nullable(),
  expected_per_hour: z.number().min(0.001).max(1_000_000).describe('`down` reports an hour on a usual day, until enough is learnt; a change counts from the first hour of which nothing is judged yet'),
  proof_required: z.boolean().describe('The emergency switch: every report without a token needs a proof of work'),
  fallbacks: Fallbacks,
  depends_on: DependsOn
}
const ServiceBody = z.strictObject({
  slug: Slug,
  ...ServiceMembers,
  group: ServiceMembers.group.default(null),
  expected_per_hour: ServiceMembers.expected_per_hour.default(2),
  proof_required: ServiceMembers.proof_required.default(false),
  fallbacks: Fallbacks.default([]),
  depends_on: DependsOn.default([])
}).meta({ id: 'ServiceBody' })
// No default: a member that is not there changes nothing.
const ServicePatch = z.strictObject({ ...ServiceMembers, retired: z.boolean() }).partial().meta({ id: 'ServicePatch' })
export const ServiceItem = z.object({
  slug: Slug,
  name: z.string(),
  group: z.string().nullable(),
  expected_per_hour: z.number(),
  proof_required: z.boolean(),
  fallbacks: z.array(z.object({ device_class: z.string(), fallback: z.string().nullable() })),
  depends_on: z.array(Slug),
  live_since: At.nullable().describe('Since when it is watched'),
  ...RetiredMembers
}).meta({ id: 'Service' })

const NamedBody = z.strictObject({ slug: Slug, name: oneLine(NAME_MAX) }).meta({ id: 'NamedBody' })
const NamedPatch = z.strictObject({ name: oneLine(NAME_MAX), retired: z.boolean() }).partial().meta({ id: 'NamedPatch' })
export const WordItem = z.object({ slug: Slug, name: z.string(), ...RetiredMembers }).meta({ id: 'Word' })
const ComponentBody = NamedBody.extend({ service: Slug }).meta({ id: 'ComponentBody' })
export const ComponentItem = z.object({ service: Slug, slug: Slug, name: z.string(), ...RetiredMembers }).meta({ id: 'Component' })
const BySlug = z.strictObject({ slug: Slug })

/** `/v1/admin/services`, `components`, `device-classes`, `symptoms`. */
export const catalog: Routes<EditOptions> = async (app, options) => {
  editThings(app, options, {
    word: 'service',
    path: '/services',
    keys: ['slug'],
    Path: BySlug,
    Body: ServiceBody,
    Patch: ServicePatch,
    Item: ServiceItem,
    things: ({ services }) => [...services.values()].map(service => describeService(service, services)),
    async insert (tx, catalog, { slug, name, group, expected_per_hour: expectedPerHour, proof_required: proofRequired, fallbacks, depends_on: dependsOn }, now) {
      refuseTaken(catalog.services.get(slug))
      const liveSince = new Date(floorTo(now.getTime(), MINUTE_MS))
      await insertService(tx, { slug, name, group, expectedPerHour, proofRequired, liveSince, fallbacks: readFallbacks(catalog, fallbacks), dependsOn: readDependencies(catalog, dependsOn, slug) })
      return slug
    },
    update: (tx, catalog, { slug }, patch, retired) =>
      updateService(tx, catalog.services.get(slug)!.id, { ...readServicePatch(catalog, patch, slug), ...retired })
  })

  editThings(app, options, {
    word: 'component',
    path: '/components',
    keys: ['service', 'slug'],
    Path: z.strictObject({ service: Slug, slug: Slug }),
    Body: ComponentBody,
    Patch: NamedPatch,
    Item: ComponentItem,
    things: ({ services }) => [...services.values()].flatMap(({ slug, components }) => components.map(component => ({ service: slug, ...describeWord(component) }))),
    async insert (tx, { services }, { service: of, slug, name }) {
      const service = findNamed(services, of, 'service', { pointer: '' })!
      refuseTaken(service.components.find(component => component.slug === slug))
      await insertComponent(tx, service.id, { slug, name })
      return `${of}/${slug}`
    },
    update: (tx, { services }, { service, slug }, { name }, retired) =>
      updateComponent(tx, services.get(service)!.id, slug, { ...(name === undefined ? {} : { name }), ...retired })
  })

  const words: [WordKind, `/${string}`, (catalog: Catalog) => ReadonlyMap<string, Named>][] = [
    ['device-class', '/device-classes', ({ deviceClasses }) => deviceClasses],
    ['symptom', '/symptoms', ({ symptoms }) => symptoms]
  ]
  for (const [word, path, read] of words) {
    editThings(app, options, {
      word,
      path,
      keys: ['slug'],
      Path: BySlug,
      Body: NamedBody,
      Patch: NamedPatch,
      Item: WordItem,
      things: catalog => [...read(catalog).values()].map(describeWord),
      async insert (tx, catalog, { slug, name }) {
        refuseTaken(read(catalog).get(slug))
        await insertWord(tx, word, { slug, name })
        return slug
      },
      async update (tx, _catalog, { slug }, { name }, retired) {
        if (word === 'device-class' && slug === UNKNOWN_DEVICE_CLASS && retired.retiredAt != null) {
          throw new Fault('conflict', `Reports that name no device class carry "${UNKNOWN_DEVICE_CLASS}"; it cannot be retired.`)
        }
        await updateWord(tx, word, slug, { ...(name === undefined ? {} : { name }), ...retired })
      }
    })
  }
}

function describeService (service: Service, services: Catalog['services']): z.infer<typeof ServiceItem> {
  const { slug, name, group, expectedPerHour, proofRequired, fallbacks, dependsOn, liveSince } = service
  return {
    slug,
    name,
    group,
    expected_per_hour: expectedPerHour,
    proof_required: proofRequired,
    fallbacks: fallbacks.map(({ deviceClass, fallback }) => ({ device_class: deviceClass, fallback })),
    depends_on: [...services.values()].filter(({ id }) => dependsOn.includes(id)).map(({ slug }) => slug),
    live_since: atOrNull(liveSince),
    ...tellRetired(service)
  }
}

function describeWord (word: Named): z.infer<typeof WordItem> {
  return { slug: word.slug, name: word.name, ...tellRetired(word) }
}

function readServicePatch (catalog: Catalog, patch: z.infer<typeof ServicePatch>, slug: string): ServiceChange {
  const { name, group, expected_per_hour: expectedPerHour, proof_required: proofRequired, fallbacks, depends_on: dependsOn } = patch
  return {
    ...(name === undefined ? {} : { name }),
    ...(group === undefined ? {} : { group }),
    ...(expectedPerHour === undefined ? {} : { expectedPerHour }),
    ...(proofRequired === undefined ? {} : { proofRequired }),
    ...(fallbacks === undefined ? {} : { fallbacks: readFallbacks(catalog, fallbacks) }),
    ...(dependsOn === undefined ? {} : { dependsOn: readDependencies(catalog, dependsOn, slug) })
  }
}

/** @throws Fault `invalid`, naming every line whose device class is unknown or stands twice */
function readFallbacks ({ deviceClasses }: Catalog, lines: z.infer<typeof Fallbacks>): Service['fallbacks'] {
  const errors = lines.flatMap(({ device_class: slug }, index) => {
    const detail = !deviceClasses.has(slug)
      ? `No device class is called "${slug}"; GET /v1/device-classes lists them.`
      : lines.findIndex(line => line.device_class === slug) < index ? `"${slug}" stands here twice.` : undefined
    return detail === undefined ? [] : [{ pointer: `/fallbacks/${index}/device_class`, detail }]
  })
  if (errors.length > 0) throw new Fault('invalid', errors[0]!.detail, { errors })
  return lines.map(({ device_class: deviceClass, fallback }) => ({ deviceClass, fallback }))
}

/** @throws Fault `invalid`, naming every service that is unknown, the service itself, or stands twice */
function readDependencies ({ services }: Catalog, slugs: readonly string[], own: string): number[] {
  const errors = slugs.flatMap((slug, index) => {
    const detail = slug === own
      ? 'A service does not depend on itself.'
      : !services.has(slug) ? `No service is called "${slug}".` : slugs.indexOf(slug) < index ? `"${slug}" stands here twice.` : undefined
    return detail === undefined ? [] : [{ pointer: `/depends_on/${index}`, detail }]
  })
  if (errors.length > 0) throw new Fault('invalid', errors[0]!.detail, { errors })
  return slugs.map(slug => services.get(slug)!.id)
}

/** @throws Fault `conflict` */
function refuseTaken (known: Named | undefined): void {
  if (known === undefined) return
  const detail = known.retiredAt === null ? `"${known.slug}" is taken.` : `"${known.slug}" is retired; PATCH { "retired": false } brings it back.`
  throw new Fault('conflict', detail, { errors: [{ pointer: '/slug', detail }] })
}
