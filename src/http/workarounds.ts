// What people can do meanwhile: told beside a service and its outages, kept by editors.
import { v7 as uuid7 } from 'uuid'
import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import { insertWorkaround, updateWorkaround, type Catalog } from '../db/services.ts'
import { findNamed, oneLine, WebAddress } from './admin.ts'
import { editThings, RetiredMembers, tellRetired, type EditOptions } from './editing.ts'
import { at, At, Slug, type Routes } from './schemas.ts'

export const Workaround = z.object({ device_class: z.string().nullable(), title: z.string(), url: z.string().nullable() })

const Body = z.strictObject({
  service: Slug,
  device_class: Slug.nullable().default(null).describe('Null: it helps on every kind of device'),
  title: oneLine(200),
  url: WebAddress.nullable().default(null)
}).meta({ id: 'WorkaroundBody' })
// No default: a member that is not there changes nothing.
const Patch = z.strictObject({ device_class: Slug.nullable(), title: oneLine(200), url: WebAddress.nullable(), retired: z.boolean() }).partial().meta({ id: 'WorkaroundPatch' })

export const WorkaroundItem = Workaround.extend({ id: z.uuid(), service: Slug, created_at: At, ...RetiredMembers }).meta({ id: 'Workaround' })

/** `/v1/admin/workarounds`. */
export const workarounds: Routes<EditOptions> = async (app, options) => {
  editThings(app, options, {
    word: 'workaround',
    path: '/workarounds',
    keys: ['id'],
    Path: z.strictObject({ id: z.uuid() }),
    Body,
    Patch,
    Item: WorkaroundItem,
    newestFirst: true,
    things: ({ services }) => [...services.values()].flatMap(({ slug, workarounds }) => workarounds.map(workaround => ({
      id: workaround.id,
      service: slug,
      device_class: workaround.deviceClass,
      title: workaround.title,
      url: workaround.url,
      created_at: at(workaround.createdAt),
      ...tellRetired(workaround)
    }))),
    async insert (tx, catalog, { service, device_class: deviceClass, title, url }, now) {
      const { id: serviceId } = findNamed(catalog.services, service, 'service', { pointer: '' })!
      checkClass(catalog, deviceClass)
      const id = uuid7({ msecs: now.getTime() })
      await insertWorkaround(tx, serviceId, { id, deviceClass, title, url, createdAt: now, retiredAt: null })
      return id
    },
    async update (tx, catalog, { id }, { device_class: deviceClass, title, url }, retired) {
      checkClass(catalog, deviceClass)
      await updateWorkaround(tx, id, {
        ...(deviceClass === undefined ? {} : { deviceClass }), ...(title === undefined ? {} : { title }), ...(url === undefined ? {} : { url }), ...retired
      })
    }
  })
}

/** @throws Fault `invalid` */
function checkClass ({ deviceClasses }: Catalog, slug: string | null | undefined): void {
  if (slug == null || deviceClasses.has(slug)) return
  const detail = `No device class is called "${slug}"; GET /v1/device-classes lists them.`
  throw new Fault('invalid', detail, { errors: [{ pointer: '/device_class', detail }] })
}
