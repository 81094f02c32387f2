// What reads are held against: a Fastify that answers each path with the same bytes, made beforehand. Run by reads.mjs as
// `still.mjs <file>`, a JSON array of { path, type, text }.
import { readFile } from 'node:fs/promises'
import Fastify from 'fastify'

const app = Fastify()
for (const { path, type, text } of JSON.parse(await readFile(process.argv[2], 'utf8'))) {
  app.get(path, (_request, reply) => { reply.type(type).send(text) })
}
await app.listen({ port: 0, host: '127.0.0.1' })
process.stdout.write(`${app.server.address().port}\n`)
