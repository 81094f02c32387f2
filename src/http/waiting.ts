// How long a request may keep us waiting for its body, and how long it may be kept waiting for its answer.
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Fault } from '../core/faults.ts'
import { openLine, type Place } from './line.ts'
import { refuseConnection, silentDatabase } from './problems.ts'

/** Below the 3 s in which a caller is told that the database is gone, and above the time that one statement may take, ms. */
const ANSWER_WITHIN_MS = 2_600

/** How often waits are looked at, ms: none lasts longer than the two together. */
const LOOK_MS = 100

/**
 * Ends the wait of whoever has no answer in time: behind a hanging database each step has a time-out of its own, and a
 * report may have to wait for several. What was begun goes on, and a retry finds what came of it. One clock looks after
 * all waits, since a timer each cost every report 3 µs.
 * @param monotonic ms
 */
export function limitWaiting (app: FastifyInstance, monotonic: () => number): void {
  const waits = openLine<(fault: Fault) => void>()

  function inTime<T> (answer: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const place = waits.join(reject, monotonic())
      answer.then(
        value => {
          waits.leave(place)
          resolve(value)
        },
        (error: unknown) => {
          waits.leave(place)
          reject(error)
        })
    })
  }

  app.addHook('onRoute', route => {
    if (route.config?.lasting === true) return
    const { handler } = route
    route.handler = function (request, reply) {
      const answer: unknown = handler.call(this, request, reply)
      return answer instanceof Promise ? inTime(answer) : answer
    }
  })
  const looking = setInterval(() => {
    for (const place of waits.waitingSince(monotonic() - ANSWER_WITHIN_MS)) {
      waits.leave(place)
      place.who(silentDatabase())
    }
  }, LOOK_MS)
  app.addHook('onClose', async () => { clearInterval(looking) })
}

/** A body must have arrived whole within this, ms, but for calls that last as long as it does; looked at this often. */
const BODY_WITHIN_MS = 15_000
const SWEEP_MS = 5_000

/**
 * Ends connections whose request's body does not come: ten thousand of them would lock everybody out for two minutes,
 * which is how long a batch may take. One clock looks after all, since a timer each would cost every report.
 * @param monotonic ms
 */
export function limitStalling (app: FastifyInstance, monotonic: () => number, { withinMs = BODY_WITHIN_MS, sweepMs = SWEEP_MS } = {}): void {
  const awaited = openLine<FastifyRequest>()
  app.decorateRequest('awaited', undefined)
  app.addHook('onRequest', (request, _reply, done) => {
    const { headers } = request
    const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined
    if (hasBody && request.routeOptions.config.lasting !== true) request.awaited = awaited.join(request, monotonic())
    done()
  })
  app.addHook('onResponse', (request, _reply, done) => {
    if (request.awaited !== undefined) awaited.leave(request.awaited)
    done()
  })
  const sweeping = setInterval(() => {
    for (const place of awaited.waitingSince(monotonic() - withinMs)) {
      const { raw } = place.who
      // It has come, and only its answer is awaited.
      if (raw.complete) continue
      awaited.leave(place)
      refuseConnection(raw.socket, new Fault('timeout', 'The body did not arrive in time.'))
      raw.socket.destroySoon()
    }
  }, sweepMs)
  app.addHook('onClose', async () => { clearInterval(sweeping) })
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Among those whose body is awaited, if it has one. */
    awaited: Place<FastifyRequest> | undefined
  }
}
