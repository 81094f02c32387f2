import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { createJsonSchemaTransform, type jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import { AN_HOUR } from './schemas.ts'

const VERSION = '0.1.0'

/** `/openapi.json` (3.1, from the schemas that check the requests) and `/docs`, which loads nothing from elsewhere. */
export const documentation = fastifyPlugin(async (app: FastifyInstance, { transformObject }: { transformObject: typeof jsonSchemaTransformObject }) => {
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
    transform: createJsonSchemaTransform({
      zodToJsonConfig: {
        // A pattern of four hundred characters says no more than the format does.
        override: ({ jsonSchema }) => { if (jsonSchema.format === 'date-time') delete jsonSchema.pattern }
      }
    }),
    transformObject
  })
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true, theme: { title: 'Groundswell' } })
  let document: string | undefined
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) => {
    document ??= JSON.stringify(app.swagger())
    return reply.header('cache-control', AN_HOUR).type('application/json; charset=utf-8').send(document)
  })
})
