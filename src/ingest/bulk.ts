// Many reports at once: the batch call's and the import command's way in. What a line is stands in http/batches, the
// statements in db.
import { Fault, type FaultCode } from '../core/faults.ts'
import type { NewReport } from '../core/reports.ts'
import { IMPORT_SIZE } from '../db/imports.ts'
import type { ImportInput, ImportIntake } from './intake.ts'

/** Chunks under way at once: the database works on some while others are marked and the next is made ready. */
const UNDER_WAY_MAX = 3
/** Chunks whose history is marked together: lines that come in order of time widen the history of every service with each chunk. */
const MARKED_TOGETHER = 4
/** A request to judge again is as good as a new one for so long, ms: an import is over when none was made for 5 s (jobs/rejudge). */
const REQUEST_AGAIN_MS = 1_000
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

/** The minutes, first and last (ms), of a service's history that an import brings. */
export interface Span { serviceId: number, from: number, to: number }

/** Where bulk reports are committed. */
export interface BulkStore {
  /** Commits; resolves to how many are new. */
  insert: (reports: readonly NewReport[]) => Promise<number>
  /** Notes the minutes of history before they are committed; a service stands once. */
  markHistory: (spans: readonly Span[]) => Promise<void>
  /** Asks for the history of services to be judged again. */
  requestRejudge: (serviceIds: readonly number[]) => Promise<void>
}

/**
 * Commits items as they flow, IMPORT_SIZE at a time, and counts into `counts`, which is true at every moment: an item counts
 * after its commit. A refused item harms no other, and `onRefused` is told of it. Whatever `store` throws breaks it off,
 * once what else is under way has come to its end.
 */
export async function takeBulk (
  groups: AsyncIterable<readonly Item[]> | Iterable<readonly Item[]>, intake: ImportIntake, store: BulkStore, counts: BulkCounts,
  onRefused: (code: FaultCode) => void = () => {}
): Promise<void> {
  const commits = openCommits(store, counts)
  let index = 0
  // Those with a comment apart: theirs are statements of their own kind (db/imports).
  const chunks: [NewReport[], NewReport[]] = [[], []]
  try {
    for await (const items of groups) {
      for (const item of items) {
        const chunk = chunks['input' in item && item.input.comment !== undefined ? 1 : 0]
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
        if (chunk.length < IMPORT_SIZE) continue
        await commits.add(chunk.splice(0))
      }
    }
  } finally {
    // Also when the source breaks off: what was good is kept.
    try {
      for (const chunk of chunks) if (chunk.length > 0) await commits.add(chunk)
    } finally {
      await commits.end()
    }
  }
}

/**
 * Commits chunks, a few at once. Two of them may hold the same id: whose statement comes later waits for the other and
 * finds it there, and since all are sorted alike, none waits in a circle. Those whose history is not marked yet wait until
 * it is, with the next ones; meanwhile more is made ready, and what was marked before is committed.
 */
function openCommits (store: BulkStore, counts: BulkCounts) {
  const history = openHistory(store)
  let unmarked: (readonly NewReport[])[] = []
  /** The first ones need not wait: nothing else is to be done meanwhile. */
  let together = 1
  let marking = Promise.resolve()
  const marked: (readonly NewReport[])[] = []
  const underWay = new Set<Promise<void>>()
  let failure: { error: unknown } | undefined

  async function commit (chunk: readonly NewReport[]): Promise<void> {
    try {
      const fresh = await store.insert(chunk)
      counts.received += chunk.length
      counts.counted += fresh
      counts.duplicate += chunk.length - fresh
    } catch (error) {
      failure ??= { error }
    }
  }

  function beginMarked (): void {
    while (failure === undefined && marked.length > 0 && underWay.size < UNDER_WAY_MAX) {
      const ended = commit(marked.shift()!).finally(() => {
        underWay.delete(ended)
        beginMarked()
      })
      underWay.add(ended)
    }
  }

  /** Marks chunks, and has them follow those before once all of these are under way. */
  async function mark (chunks: readonly (readonly NewReport[])[]): Promise<void> {
    try {
      await history.mark(spansOf(chunks))
      while (marked.length > 0) {
        if (failure !== undefined) return
        await Promise.race(underWay)
      }
      marked.push(...chunks)
      beginMarked()
    } catch (error) {
      failure ??= { error }
    }
  }

  async function markNext (): Promise<void> {
    await marking
    if (failure !== undefined) throw failure.error
    together = Math.min(2 * together, MARKED_TOGETHER)
    marking = mark(unmarked)
    unmarked = []
  }

  return {
    /** Resolves when there is room for more; throws what an earlier one failed with. */
    async add (chunk: readonly NewReport[]): Promise<void> {
      unmarked.push(chunk)
      if (unmarked.length >= together || !history.grows(spansOf([chunk]))) await markNext()
    },
    async end (): Promise<void> {
      if (unmarked.length > 0) await markNext().catch(error => { failure ??= { error } })
      await marking
      while (underWay.size > 0) await Promise.race(underWay)
      await history.end().catch(error => { failure ??= { error } })
      if (failure !== undefined) throw failure.error
    }
  }
}

/** Marks of history, made only where it grows, and requests to judge it again, made when the last is old. */
function openHistory (store: BulkStore) {
  const marked = new Map<number, Span>()
  const requestedAt = new Map<number, number>()
  /** Of which a chunk was committed since, without a new request. */
  const unasked = new Set<number>()

  const grownBy = (spans: readonly Span[]) => spans.map(span => widen(span, marked.get(span.serviceId)))
    .filter(({ serviceId, from, to }) => marked.get(serviceId)?.from !== from || marked.get(serviceId)?.to !== to)

  async function grow (spans: readonly Span[]): Promise<void> {
    const grown = grownBy(spans)
    if (grown.length === 0) return
    await store.markHistory(grown)
    // Others may have marked more meanwhile.
    for (const span of grown) marked.set(span.serviceId, widen(span, marked.get(span.serviceId)))
  }

  async function ask (serviceIds: readonly number[]): Promise<void> {
    if (serviceIds.length === 0) return
    const at = performance.now()
    await store.requestRejudge(serviceIds)
    for (const serviceId of serviceIds) requestedAt.set(serviceId, at)
  }

  return {
    grows: (spans: readonly Span[]) => grownBy(spans).length > 0,
    /** Before chunks are committed. */
    async mark (spans: readonly Span[]): Promise<void> {
      const isOld = ({ serviceId }: Span) => performance.now() - (requestedAt.get(serviceId) ?? -Infinity) >= REQUEST_AGAIN_MS
      const due = spans.filter(isOld).map(({ serviceId }) => serviceId)
      for (const { serviceId } of spans) unasked.add(serviceId)
      for (const serviceId of due) unasked.delete(serviceId)
      await Promise.all([grow(spans), ask(due)])
    },
    /** Leaves no commit without a younger request. */
    end: () => ask([...unasked])
  }
}

function widen (span: Span, other: Span | undefined): Span {
  return other === undefined ? span : { serviceId: span.serviceId, from: Math.min(span.from, other.from), to: Math.max(span.to, other.to) }
}

function spansOf (chunks: readonly (readonly NewReport[])[]): Span[] {
  const spans = new Map<number, Span>()
  for (const chunk of chunks) {
    for (const { serviceId, minute, history } of chunk) {
      if (!history) continue
      const span = spans.get(serviceId)
      if (span === undefined) spans.set(serviceId, { serviceId, from: minute, to: minute })
      else if (minute < span.from) span.from = minute
      else if (minute > span.to) span.to = minute
    }
  }
  return [...spans.values()]
}
