// Blocks, for moderators to set and lift.
import ipaddr from 'ipaddr.js'
import { v7 as uuid7 } from 'uuid'
import { z } from 'zod'
import { Fault } from '../core/faults.ts'
import type { Clock } from '../core/time.ts'
import { recordAudit } from '../db/audit.ts'
import { BLOCKS_MAX, findBlock, insertBlock, liftBlock, readBlocks, readBlocksInForce, type StoredBlock } from '../db/blocks.ts'
import { transact, type Database } from '../db/client.ts'
import { Reason } from './admin.ts'
import { Network } from './raw-reports.ts'
import { at, At, atOrNull, Instant, pageOf, PageQuery, pageRows, readPlace, type Routes } from './schemas.ts'

/** Wider blocks would silence whole parts of the world: prefix lengths at least. */
const PREFIX_MIN = { ipv4: 8, ipv6: 16 } as const

const Cidr = z.string().max(64).superRefine((text, context) => {
  const refuse = (message: string) => context.addIssue({ code: 'custom', message })
  const isRange = text.includes('/')
  const isValid = isRange
    ? ipaddr.IPv4.isValidCIDRFourPartDecimal(text) || ipaddr.IPv6.isValidCIDR(text)
    : ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text)
  if (!isValid) return refuse('Expected a CIDR or an address, such as 192.0.2.0/24 or 2001:db8::/32')
  if (!isRange) return
  const [address, bits] = ipaddr.parseCIDR(text)
  const min = PREFIX_MIN[address.kind()]
  if (bits < min) refuse(`Expected a prefix of at least /${min}`)
})

const BlockBody = z.strictObject({
  cidr: Cidr.optional().describe('Kept as given'),
  network: Network.optional().describe('Of a report: it holds for its service and day'),
  reason: Reason,
  expires_at: Instant.nullable().default(null).describe('Null: never')
}).refine(({ cidr, network }) => (cidr === undefined) !== (network === undefined), { message: 'Expected either cidr or network', path: ['cidr'] }).meta({ id: 'BlockBody' })
const BlockPath = z.strictObject({ id: z.uuid() })

export const Block = z.object({
  id: z.uuid(), cidr: z.string().nullable(), network: z.string().nullable(), reason: z.string(), created_at: At, expires_at: At.nullable()
}).meta({ id: 'Block' })

/** `/v1/admin/blocks`. @param refresh brings what is in force to this instance; others follow within seconds. */
export const blocks: Routes<{ db: Database, clock: Clock, refresh: () => Promise<void> }> = async (app, { db, clock, refresh }) => {
  const config = { scope: 'moderate' } as const
  const existing = (block: StoredBlock | undefined) => {
    if (block === undefined) throw new Fault('not-found', 'No block has this id, or it was lifted; GET /v1/admin/blocks lists them.')
    return block
  }

  app.get('/blocks', {
    config, schema: { summary: 'Blocks, newest first, without those that were lifted', querystring: z.strictObject(PageQuery), response: { 200: pageOf(Block) } }
  }, async ({ query: { limit, cursor } }) => {
    const rows = await readBlocks(db, limit + 1, readPlace(cursor))
    return pageRows(rows, limit, row => [row.createdAt.toISOString(), row.id], describe)
  })

  app.get('/blocks/:id', { config, schema: { summary: 'One block', params: BlockPath, response: { 200: Block } } },
    async ({ params }) => describe(existing(await findBlock(db, params.id))))

  app.post('/blocks', {
    config: { ...config, check: (body: { expires_at?: Date | null }) => { checkExpiry(body.expires_at, clock.now()) } },
    schema: {
      summary: 'Hold back what comes from some addresses or a network',
      description: 'Reports are stored as quarantined, with the reason, and can be released. Relays\' reports are not concerned.',
      body: BlockBody,
      response: { 201: Block }
    }
  }, async ({ body, actor }, reply) => {
    const now = clock.now()
    checkExpiry(body.expires_at, now)
    const row: StoredBlock = {
      id: uuid7(), cidr: body.cidr ?? null, network: body.network ?? null, reason: body.reason, createdAt: now, expiresAt: body.expires_at, liftedAt: null
    }
    await transact(db, async tx => {
      if ((await readBlocksInForce(tx, now)).length >= BLOCKS_MAX) throw new Fault('conflict', `There are ${BLOCKS_MAX} blocks in force; lift some first.`)
      await insertBlock(tx, row)
      await recordAudit(tx, { actor, action: 'block.create', target: `block/${row.id}`, after: describe(row), reason: body.reason }, now)
    })
    await refresh()
    return reply.code(201).send(describe(row))
  })

  app.delete('/blocks/:id', { config, schema: { summary: 'Lift a block', params: BlockPath } }, async ({ params: { id }, actor }, reply) => {
    const now = clock.now()
    await transact(db, async tx => {
      const before = existing(await findBlock(tx, id, 'for update'))
      await liftBlock(tx, id, now)
      await recordAudit(tx, { actor, action: 'block.lift', target: `block/${id}`, before: describe(before) }, now)
    })
    await refresh()
    return reply.code(204).send()
  })
}

/** @throws Fault `invalid` */
function checkExpiry (expiresAt: Date | null | undefined, now: Date): void {
  if (expiresAt == null || expiresAt > now) return
  const detail = `It lies in the past (it is ${now.toISOString()} now).`
  throw new Fault('invalid', detail, { errors: [{ pointer: '/expires_at', detail }] })
}

function describe ({ id, cidr, network, reason, createdAt, expiresAt }: StoredBlock): z.infer<typeof Block> {
  return { id, cidr, network, reason, created_at: at(createdAt), expires_at: atOrNull(expiresAt) }
}
