// Open event streams (Server-Sent Events, WHATWG HTML 9.2): how many there may be, how long each lives, and how much one
// that reads slowly may hold up. What they are told stands in news and ticks.
import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Fault } from '../core/faults.ts'
import { HOUR_MS } from '../core/time.ts'
import { networkOf } from './counters.ts'
import { addressOf } from './guards.ts'

/** What bounds the streams of one instance; times are real ones. */
export const STREAM_BOUNDS = {
  /** Streams at once, of all and of one address (IPv6: its /64). */
  streamsMax: 2_000,
  streamsPerAddressMax: 20,
  /** A client that leaves more than this unread is cut when there is something new for it; it resumes by the number it has seen. */
  bufferedBytesMax: 256 * 1024,
  /** A stream is ended between three quarters of this and the whole: each at another time, so that not all come back at once. */
  lifetimeMs: HOUR_MS
}
export type StreamBounds = typeof STREAM_BOUNDS

const RETRY_AFTER_S = 30
/** An ended stream whose client does not read the rest is cut after this. */
const END_WITHIN_MS = 5_000
/** The same when the service stops, which waits for it. */
const CLOSE_WITHIN_MS = 300

/** One client's stream. */
export interface Stream {
  /** What is sent, to answer with. */
  readonly body: Readable
  /** True once nothing more can be sent. */
  isOver: () => boolean
  /** Calls when the client is gone; at once when it is. */
  onOver: (forget: () => void) => void
  send: (text: Buffer) => void
  /** Resolves when the client has room for more, or is gone. */
  drained: () => Promise<void>
  /** Ends it after what was sent, so that the client comes back by itself; cut if that takes longer than so many ms. */
  end: (withinMs?: number) => void
  /** Cuts it where it is. */
  cut: () => void
}

/** The open streams of one instance. */
export interface Streams {
  /** @throws Fault `rate-limited` or `overloaded` when there are as many as there may be */
  open: (request: FastifyRequest, reply: FastifyReply) => Stream
  all: () => Iterable<Stream>
  /** Ends all, and those that are opened from now on at once; resolves when they are gone. */
  close: () => Promise<void>
}

/**
 * @param chance a number in [0, 1)
 * @param onCount told how many are open, whenever that changes
 */
export function holdStreams (bounds: StreamBounds, chance: () => number, onCount: (openCount: number) => void = () => {}): Streams {
  const open = new Set<Stream>()
  // An address is known only as long as one of its streams is open.
  const perAddress = new Map<string, number>()
  const connections = new Set<Socket>()
  let closing = false

  return {
    open (request, reply) {
      const { socket } = request.raw
      if (connections.has(socket)) throw new Fault('malformed', 'A stream is open on this connection, and nothing is answered behind it: open another connection.')
      const address = networkOf(addressOf(request))
      const own = perAddress.get(address) ?? 0
      if (own >= bounds.streamsPerAddressMax) {
        throw new Fault('rate-limited', `Your address has ${own} streams open, which is as many as it may.`, { retryAfterS: RETRY_AFTER_S })
      }
      if (open.size >= bounds.streamsMax) {
        throw new Fault('overloaded', 'As many streams are open as can be; GET /v1/outages tells what there is until then.', { retryAfterS: RETRY_AFTER_S })
      }
      const stream = openStream(reply.raw, socket, bounds.bufferedBytesMax)
      open.add(stream)
      onCount(open.size)
      connections.add(socket)
      perAddress.set(address, own + 1)
      const endOfLife = setTimeout(stream.end, bounds.lifetimeMs * (0.75 + chance() / 4))
      stream.onOver(() => {
        clearTimeout(endOfLife)
        open.delete(stream)
        onCount(open.size)
        connections.delete(socket)
        const left = perAddress.get(address)! - 1
        if (left === 0) perAddress.delete(address)
        else perAddress.set(address, left)
      })
      if (closing) stream.end(CLOSE_WITHIN_MS)
      return stream
    },
    all: () => open,
    async close () {
      closing = true
      await Promise.all([...open].map(stream => new Promise<void>(resolve => {
        stream.onOver(resolve)
        stream.end(CLOSE_WITHIN_MS)
      })))
    }
  }
}

function openStream (raw: ServerResponse, socket: Socket, bufferedBytesMax: number): Stream {
  let hasRoom = false
  let goOn: (() => void) | undefined
  let ended = false
  let over = raw.destroyed || socket.destroyed
  let cutting: NodeJS.Timeout | undefined
  const onOver: (() => void)[] = []
  const body = new Readable({
    read () {
      hasRoom = true
      goOn?.()
    }
  })
  const stream: Stream = {
    body,
    isOver: () => ended || over,
    onOver (forget) {
      // A client may be gone before it is answered.
      if (over) forget()
      else onOver.push(forget)
    },
    send (text) {
      if (ended || over) return
      if (body.readableLength + raw.writableLength > bufferedBytesMax) return stream.cut()
      hasRoom = false
      body.push(text)
    },
    async drained () {
      if (!hasRoom && !over) await new Promise<void>(resolve => { goOn = resolve })
    },
    end (withinMs = END_WITHIN_MS) {
      if (over) return
      if (!ended) body.push(null)
      ended = true
      clearTimeout(cutting)
      cutting = setTimeout(stream.cut, withinMs)
    },
    cut () {
      ended = true
      // An answer that waits behind another on its connection does not have the socket yet.
      if (raw.socket === null) socket.destroy()
      else raw.destroy()
    }
  }
  const leave = () => {
    // Where both close, one closes the other while it tells of it.
    if (over) return
    over = true
    raw.off('close', leave)
    socket.off('close', leave)
    clearTimeout(cutting)
    for (const forget of onOver) forget()
    goOn?.()
  }
  // Nor does it close with the connection.
  raw.on('close', leave)
  socket.on('close', leave)
  return stream
}
