// The ids of many networks, held outside of what the garbage collector walks: on the worst day there are millions.

/** Of a network and of an id 16 bytes each, as four words. */
const KEY_WORDS = 4
const ENTRY_WORDS = 2 * KEY_WORDS
/** Entries in one block; a set that holds few has a part of one. */
const BLOCK_ENTRIES = 4_096
const FIRST_ENTRIES = 4
/** Of the index at most one slot in so many is taken: a search then looks at one or two. */
const SLOTS_PER_ENTRY = 2

/** What one voice takes: its entry and, while the index has doubled lately, four slots of four bytes. */
export const VOICE_BYTES = 4 * (ENTRY_WORDS + 2 * SLOTS_PER_ENTRY)

/** The network of an entry that was removed, which keeps its slot until the index is made anew. */
const REMOVED = new Uint32Array(KEY_WORDS)
/** What is looked for; one for all sets, since a search does not pause. */
const sought = new Uint32Array(ENTRY_WORDS)

/** What became of an id that was put. */
export type Put = 'known' | 'added' | 'network full' | 'set full'

/** Ids by network. Networks are 32 hex digits, ids UUIDs. */
export interface VoiceSet {
  /** Adds the id unless it is there, or of its network there are `most` already, or the set may not grow. */
  put: (network: string, id: string, most: number, mayGrow: boolean) => Put
  /** True when the id was there. */
  remove: (network: string, id: string) => boolean
  size: () => number
}

/**
 * Open addressing with linear probing (Knuth, TAOCP 3, 6.4, algorithm L): the index points at entries, which stay where
 * they are until it is made anew. Networks are keyed hashes, so nobody can choose them to collide.
 */
export function makeVoiceSet (): VoiceSet {
  const blocks = [new Uint32Array(FIRST_ENTRIES * ENTRY_WORDS)]
  /** The number of an entry plus one; 0 ends a search. */
  let index = new Uint32Array(FIRST_ENTRIES * SLOTS_PER_ENTRY)
  let entries = 0
  let size = 0

  function blockOf (entry: number): Uint32Array {
    return blocks[Math.floor(entry / BLOCK_ENTRIES)]!
  }

  /** The slot of the sought id, or the empty one where it would stand, and how many ids of its network were passed. */
  function search (): { slot: number, passed: number, isThere: boolean } {
    let slot = sought[0]! & (index.length - 1)
    let passed = 0
    for (;;) {
      const entry = index[slot]! - 1
      if (entry === -1) return { slot, passed, isThere: false }
      const block = blockOf(entry)
      const at = entry % BLOCK_ENTRIES * ENTRY_WORDS
      if (isSame(block, at, sought, 0)) {
        if (isSame(block, at + KEY_WORDS, sought, KEY_WORDS)) return { slot, passed, isThere: true }
        passed++
      }
      slot = (slot + 1) & (index.length - 1)
    }
  }

  function append (): number {
    const last = blocks.at(-1)!
    const at = entries % BLOCK_ENTRIES * ENTRY_WORDS
    if (at === 0 && entries > 0) blocks.push(new Uint32Array(BLOCK_ENTRIES * ENTRY_WORDS))
    else if (at === last.length) {
      const larger = new Uint32Array(2 * last.length)
      larger.set(last)
      blocks[blocks.length - 1] = larger
    }
    blocks.at(-1)!.set(sought, at)
    size++
    return ++entries
  }

  /** Makes the index anew, without what was removed: twice as large, unless that alone makes room. */
  function renew (): void {
    let kept = 0
    for (let entry = 0; entry < entries; entry++) {
      const from = entry % BLOCK_ENTRIES * ENTRY_WORDS
      if (isSame(blockOf(entry), from, REMOVED, 0)) continue
      if (kept < entry) blockOf(kept).set(blockOf(entry).subarray(from, from + ENTRY_WORDS), kept % BLOCK_ENTRIES * ENTRY_WORDS)
      kept++
    }
    entries = kept
    blocks.length = Math.max(1, Math.ceil(entries / BLOCK_ENTRIES))
    const isHalfFull = 2 * entries * SLOTS_PER_ENTRY > index.length
    index = new Uint32Array(isHalfFull ? 2 * index.length : index.length)
    for (let entry = 0; entry < entries; entry++) {
      let slot = blockOf(entry)[entry % BLOCK_ENTRIES * ENTRY_WORDS]! & (index.length - 1)
      while (index[slot] !== 0) slot = (slot + 1) & (index.length - 1)
      index[slot] = entry + 1
    }
  }

  return {
    put (network, id, most, mayGrow) {
      readWords(network, sought, 0)
      readWords(id, sought, KEY_WORDS)
      const { slot, passed, isThere } = search()
      if (isThere) return 'known'
      if (passed >= most) return 'network full'
      if (!mayGrow) return 'set full'
      index[slot] = append()
      if (entries * SLOTS_PER_ENTRY > index.length) renew()
      return 'added'
    },
    remove (network, id) {
      readWords(network, sought, 0)
      readWords(id, sought, KEY_WORDS)
      const { slot, isThere } = search()
      if (!isThere) return false
      const entry = index[slot]! - 1
      blockOf(entry).fill(0, entry % BLOCK_ENTRIES * ENTRY_WORDS, (entry % BLOCK_ENTRIES + 1) * ENTRY_WORDS)
      size--
      return true
    },
    size: () => size
  }
}

function isSame (a: Uint32Array, at: number, b: Uint32Array, from: number): boolean {
  for (let i = 0; i < KEY_WORDS; i++) if (a[at + i] !== b[from + i]) return false
  return true
}

const DIGIT_BITS = 4
const WORD_DIGITS = 8
const DASH = 0x2d

/** Hex digits into words; dashes are passed over. */
function readWords (hex: string, words: Uint32Array, at: number): void {
  let word = 0
  let digits = 0
  for (let i = 0; i < hex.length; i++) {
    const code = hex.charCodeAt(i)
    if (code === DASH) continue
    // '0' to '9' end in 0 to 9, and 'a' to 'f' in 1 to 6, above bit 6.
    word = (word << DIGIT_BITS) | ((code & 15) + (code >> 6) * 9)
    if (++digits % WORD_DIGITS === 0) words[at++] = word
  }
}
