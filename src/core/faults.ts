/** Every way in which we refuse, by the name that its problem document has under `/problems/`. */
export const FAULT_CODES = [
  'malformed', 'invalid', 'unauthorized', 'forbidden', 'not-found', 'method-not-allowed', 'not-acceptable', 'timeout',
  'conflict', 'too-large', 'unsupported-media-type', 'precondition-failed', 'precondition-required', 'proof-required',
  'rate-limited', 'headers-too-large', 'overloaded', 'unavailable', 'internal'
] as const
export type FaultCode = typeof FAULT_CODES[number]

/** One field that was wrong: an RFC 6901 pointer and what was expected; `in` says when it is not in the body. */
export interface FieldError { pointer: string, detail: string, in?: 'query' | 'path' }

/** An expected refusal. What leaves over HTTP is made of it in `http/problems`. */
export class Fault extends Error {
  readonly code: FaultCode
  readonly errors: readonly FieldError[]
  /** Seconds after which trying again makes sense; sent as `Retry-After`. */
  readonly retryAfterS: number | undefined
  /** Members added to the problem document, such as the counts of a batch that broke off. */
  readonly extra: Readonly<Record<string, unknown>>

  constructor (code: FaultCode, detail: string, more: {
    errors?: readonly FieldError[], retryAfterS?: number, extra?: Record<string, unknown>, cause?: unknown
  } = {}) {
    super(detail, more.cause === undefined ? undefined : { cause: more.cause })
    this.name = 'Fault'
    this.code = code
    this.errors = more.errors ?? []
    this.retryAfterS = more.retryAfterS
    this.extra = more.extra ?? {}
  }
}
