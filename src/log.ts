import { pino, type Logger } from 'pino'

/** A log of JSON lines on stdout (1) or stderr (2), buffered: it may lag behind by some milliseconds. */
export function openLog (level: string, fd: 1 | 2): Logger {
  return pino({ level, base: null, serializers: { err: serializeError } }, pino.destination({ dest: fd, sync: fd === 2 }))
}

/**
 * What a log line says of an error. A database error's message, detail and parameters can hold what people sent, and a
 * parser's message a piece of it; so those are told by type, code and place alone.
 */
export function serializeError (error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const { code, constraint, table, routine, syscall } = error as Error & Record<string, unknown>
  const ours = error.constructor === Error || error.name === 'EmbeddedError'
  return {
    type: error.name,
    ...(ours && code === undefined ? { message: error.message } : {}),
    ...Object.fromEntries(Object.entries({ code, constraint, table, routine, syscall }).filter(([, value]) => value !== undefined)),
    stack: (error.stack ?? '').split('\n').filter(line => /^\s+at /.test(line)).join('\n'),
    ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) })
  }
}
