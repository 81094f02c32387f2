// Many reports at once: the batch call's and the import command's way in.
import { Fault, type FaultCode } from '../core/faults.ts'
import type { NewReport } from '../core/reports.ts'
import type { ImportInput, ImportIntake } from './intake.ts'

/** Reports committed in one statement. */
const CHUNK_SIZE = 500
/** Refusals that are named; further ones are only counted. */
export const FAULTS_NAMED_MAX = 1_000

/** An item as it came: checked, or why not. */
export type Item = { input: ImportInput } | { fault: Fault }

/** What became of the items so far: `received` is the sum of the four that follow. */
export interface BulkCounts {
  received: number
  counted: number
  duplicate: number
  quarantined: number
  refused: number
  /** The first 1,000 refusals, by position from 0. */
  faults: { index: number, fault: Fault }[]
}

export function emptyCounts (): BulkCounts {
  return { received: 0, counted: 0, duplicate: 0, quarantined: 0, refused: 0, faults: [] }
}

/** Told of every statement that was committed: how many of its reports were new, and how many were there before. */
export type BulkMeter = (counted: number, duplicate: number) => void

/** Where bulk reports are committed. */
export interface BulkStore {
  /** Commits; resolves to the ids that are new. */
  insert: (reports: readonly NewReport[]) => Promise<Set<string>>
  /** Notes the minutes (ms, first and last) of history before they are committed. */
  markHistory: (serviceId: number, from: number, to: number) => Promise<void>
}

/**
 * Commits items as they flow, 500 at a time, and counts into `counts`, which is true at every moment: an item counts
 * after its commit. A refused item harms no other, and `onRefused` is told of it. Whatever `store` throws breaks it off.
 */
export async function takeBulk (
  items: AsyncIterable<Item> | Iterable<Item>, intake: ImportIntake, store: BulkStore, counts: BulkCounts, onRefused: (code: FaultCode) => void = () => {}
): Promise<void> {
  let index = 0
  let chunk: NewReport[] = []
  const commit = async () => {
    const batch = chunk
    chunk = []
    const fresh = await commitChunk(batch, store)
    counts.received += batch.length
    counts.counted += fresh
    counts.duplicate += batch.length - fresh
  }
  try {
    for await (const item of items) {
      try {
        if ('fault' in item) throw item.fault
        chunk.push(intake(item.input))
      } catch (error) {
        if (!(error instanceof Fault)) throw error
        counts.received++
        counts.refused++
        onRefused(error.code)
        if (counts.faults.length < FAULTS_NAMED_MAX) counts.faults.push({ index, fault: error })
      }
      index++
      if (chunk.length >= CHUNK_SIZE) await commit()
    }
  } finally {
    // Also when the source breaks off: what was good is kept.
    if (chunk.length > 0) await commit()
  }
}

async function commitChunk (chunk: readonly NewReport[], store: BulkStore): Promise<number> {
  const spans = new Map<number, { from: number, to: number }>()
  for (const { serviceId, minute, history } of chunk) {
    if (!history) continue
    const span = spans.get(serviceId)
    spans.set(serviceId, { from: Math.min(span?.from ?? minute, minute), to: Math.max(span?.to ?? minute, minute) })
  }
  for (const [serviceId, { from, to }] of spans) await store.markHistory(serviceId, from, to)
  return (await store.insert(chunk)).size
}
