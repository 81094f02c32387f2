import type { FastifyRequest } from 'fastify'

/** The base of absolute links, without a slash at its end: PUBLIC_URL, else as the request names us. */
export function baseOf (request: FastifyRequest, publicUrl: string | undefined): string {
  return publicUrl ?? `${request.protocol}://${request.host}`
}
