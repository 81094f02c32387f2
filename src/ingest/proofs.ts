// Proof of work, where a moderator has switched it on for a service: ALTCHA's, made and checked here.
import { randomInt } from 'node:crypto'
import { createChallenge, verifySolution } from 'altcha-lib'
import { deriveKey } from 'altcha-lib/algorithms/pbkdf2'
import { z } from 'zod'
import { DAY_MS } from '../core/time.ts'
import type { Salts } from './salts.ts'

/** A challenge is good for this long, ms. */
const CHALLENGE_MS = 120_000
/**
 * PBKDF2 rounds of one try, and how many tries it takes: about 0.25 s on a core of today, so well below a second on a
 * phone, and 1 ms to check.
 */
const ROUNDS = 5_000
const [TRIES_MIN, TRIES_MAX] = [100, 300]

/** What a client solves, as ALTCHA's widgets and libraries read it. */
export type Challenge = Awaited<ReturnType<typeof createChallenge>>

const Payload = z.object({
  challenge: z.looseObject({
    parameters: z.looseObject({
      algorithm: z.literal('PBKDF2/SHA-256'),
      nonce: z.string(),
      salt: z.string(),
      cost: z.literal(ROUNDS),
      keyLength: z.literal(32),
      keyPrefix: z.string(),
      expiresAt: z.number(),
      data: z.object({ service: z.string() })
    }),
    signature: z.string().regex(/^[0-9a-f]{64}$/)
  }),
  solution: z.looseObject({ counter: z.int().min(0).max(2 ** 32 - 1), derivedKey: z.string().regex(/^[0-9a-f]{64}$/) })
})

/** Makes and checks proofs of work. */
export interface Proofs {
  /** A challenge for reports on a service. */
  challenge: (service: string) => Promise<Challenge>
  /** Takes a proof, which is then spent; why not, in a sentence, when it is not good. */
  take: (proof: string, service: string) => Promise<string | undefined>
}

/**
 * Keys are made of the day's salt, so that instances share them and none is stored.
 * @param spend notes a challenge's signature until an instant; false when it was there before.
 * @param now real time; `clockNow` the domain's, ms.
 */
export function openProofs ({ salts, spend, now, clockNow }: {
  salts: Salts, spend: (signature: Buffer, until: Date) => Promise<boolean>, now: () => Date, clockNow: () => number
}): Proofs {
  const secretsOf = async (at: number) => {
    const hash = await salts.hashOf(at)
    return { hmacSignatureSecret: hash(['proof']), hmacKeySignatureSecret: hash(['proof key']) }
  }
  return {
    async challenge (service) {
      return createChallenge({
        algorithm: 'PBKDF2/SHA-256',
        cost: ROUNDS,
        counter: randomInt(TRIES_MIN, TRIES_MAX),
        expiresAt: new Date(now().getTime() + CHALLENGE_MS),
        data: { service },
        deriveKey,
        ...await secretsOf(clockNow())
      })
    },
    async take (proof, service) {
      const read = Payload.safeParse(parse(proof))
      if (!read.success) return 'The proof is not one that this service can read: expected the base64 of ALTCHA\'s payload.'
      const { challenge, solution } = read.data
      if (challenge.parameters.data.service !== service) return 'The proof is for another service.'
      // Just after midnight a challenge of the day before is still good.
      for (const at of [clockNow(), clockNow() - DAY_MS]) {
        const result = await verifySolution({ challenge, solution: { ...solution, time: 0 }, deriveKey, ...await secretsOf(at) })
        if (result.expired) return 'The proof has expired: it is good for two minutes.'
        if (!result.verified) continue
        const fresh = await spend(Buffer.from(challenge.signature, 'hex'), new Date(challenge.parameters.expiresAt * 1000))
        return fresh ? undefined : 'The proof was used already.'
      }
      return 'The proof does not solve a challenge of this service.'
    }
  }
}

function parse (proof: string): unknown {
  try {
    return JSON.parse(Buffer.from(proof, 'base64').toString())
  } catch {
    return undefined
  }
}
