// The description of all calls, `/openapi.json`, and the page that shows it, `/docs`.
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from 'fastify-type-provider-zod'
import { z } from 'zod'
import { VERSION } from '../core/vocabulary.ts'
import { PROBLEM_TYPE } from './problems.ts'
import { AN_HOUR, FieldProblem } from './schemas.ts'

/** The page brings its own scripts and nothing else; its styles are set by them as well. */
const PAGE_POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** What every refusal looks like (RFC 9457). */
export const Problem = z.looseObject({
  type: z.string().describe('A path under /problems/ that says what it means and what to do'),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  errors: z.array(FieldProblem).optional().describe('The fields that are wrong'),
  request_id: z.string().optional()
}).meta({ id: 'Problem' })

const zodToJsonConfig: NonNullable<Parameters<typeof createJsonSchemaTransform>[0]['zodToJsonConfig']> = {
  override: ({ jsonSchema }) => {
    // A pattern of four hundred characters says no more than the format does.
    if (jsonSchema.format === 'date-time') delete jsonSchema.pattern
    // zod drops `examples` of what it transforms; ours are as they are sent.
    const { sent } = jsonSchema
    delete jsonSchema['sent']
    if (Array.isArray(sent)) jsonSchema.examples = sent
  }
}

type Described = Extract<ReturnType<ReturnType<typeof createJsonSchemaTransformObject>>, { openapi?: unknown }>

/** The document without schemas that no call leads to: each is made as it is sent and as it is answered. */
function dropUnused (document: Described): Described {
  const schemas: Record<string, unknown> = document.components?.schemas ?? {}
  const used = new Set<string>()
  const follow = (part: unknown) => {
    for (const [, name] of JSON.stringify(part ?? {}).matchAll(/"#\/components\/schemas\/([^"]+)"/g)) {
      if (used.has(name!)) continue
      used.add(name!)
      follow(schemas[name!])
    }
  }
  follow(document.paths)
  for (const name of Object.keys(schemas)) if (!used.has(name)) delete schemas[name]
  return document
}

/** What every change of a thing carries; `checkMatch` asks for it. */
const ChangeHeaders = z.object({ 'if-match': z.string().describe('The ETag that reading it gave; `*`: whatever it is now') })

/** Collects the calls that are registered after it, from the schemas that check their requests. */
export const describeCalls = fastifyPlugin(async (app: FastifyInstance) => {
  const transform = createJsonSchemaTransform({ zodToJsonConfig })
  const describeAll = createJsonSchemaTransformObject({ zodToJsonConfig })
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.1',
      info: {
        title: 'Groundswell',
        version: VERSION,
        description: 'Is it working for you? People report, anonymously, that a service works or fails for them; here are the reports in time windows, and the outages seen in them.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' }
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'gsw_<id>_<secret>, made by "groundswell token create"' } } }
    },
    transform: document => {
      const { schema, route } = document
      const response: Record<string, unknown> = { ...schema?.response as object, default: { description: 'A problem', content: { [PROBLEM_TYPE]: { schema: Problem } } } }
      const [first, ...others] = route.config?.produces ?? []
      if (first !== undefined) {
        const content = { [first]: { schema: response['200'] ?? z.string() }, ...Object.fromEntries(others.map(type => [type, { schema: z.string() }])) }
        response['200'] = { description: 'As Accept asks for it', content }
      }
      const headers = route.method === 'PATCH' ? { headers: ChangeHeaders } : {}
      return transform(schema === undefined ? document : { ...document, schema: { ...schema, ...headers, response } })
    },
    transformObject: document => dropUnused(describeAll(document) as Described)
  })
})

/** `/openapi.json` (3.1) and `/docs`, which loads nothing from elsewhere. */
export async function documentation (app: FastifyInstance): Promise<void> {
  app.addHook('onRoute', route => {
    // Whatever a browser says that it accepts of a page's parts.
    if (route.url.startsWith('/docs')) route.config = { ...route.config, produces: [] }
  })
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: PAGE_POLICY, theme: { title: 'Groundswell' } })
  let document: string | undefined
  app.get('/openapi.json', { schema: { summary: 'This description', response: { 200: z.looseObject({}) } } }, async (_request, reply) => {
    document ??= JSON.stringify(app.swagger())
    return reply.header('cache-control', AN_HOUR).type('application/json; charset=utf-8').send(document)
  })
}
