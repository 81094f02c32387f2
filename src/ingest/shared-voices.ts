// How many of a network's reports count, when several instances take them: the sets of ids stand in Redis.
import type { Redis } from 'ioredis'
import { INTERVAL_MS, NETWORK_VOICES_MAX } from '../core/reports.ts'
import type { Speaker, Voice, Voices } from './voices.ts'

/** An interval that nobody reports about for this long is forgotten, and read from `reports` should it be asked about, ms. */
const KEPT_MS = 2 * INTERVAL_MS
/** Voices written in one command. */
const LOADED_AT_ONCE = 500

/*
 * One hash a service and interval: by network the ids of its voices behind one another, 36 characters each, and the field
 * '' once all that `reports` held was read into it. One key, so that all of it expires or is lost together.
 */
const ADMIT = `
  local held = redis.call('hget', KEYS[1], ARGV[1]) or ''
  if redis.call('hexists', KEYS[1], '') == 0 then return -1 end
  if string.find(held, ARGV[2], 1, true) then return 1 end
  if #held >= tonumber(ARGV[3]) * #ARGV[2] then return 0 end
  redis.call('hset', KEYS[1], ARGV[1], held .. ARGV[2])
  redis.call('pexpire', KEYS[1], ARGV[4])
  return 1`
const LOAD = `
  for i = 2, #ARGV, 2 do
    local held = redis.call('hget', KEYS[1], ARGV[i]) or ''
    if not string.find(held, ARGV[i + 1], 1, true) then redis.call('hset', KEYS[1], ARGV[i], held .. ARGV[i + 1]) end
  end
  redis.call('pexpire', KEYS[1], ARGV[1])
  return 1`
const FREE = `
  local held = redis.call('hget', KEYS[1], ARGV[1])
  redis.call('hdel', KEYS[1], '')
  local from, to = string.find(held or '', ARGV[2], 1, true)
  if from then redis.call('hset', KEYS[1], ARGV[1], string.sub(held, 1, from - 1) .. string.sub(held, to + 1)) end
  return 1`

const [NO_ROOM, UNKNOWN] = [0, -1]

interface Commands {
  admitVoice: (key: string, network: string, id: string, max: number, keptMs: number) => Promise<number>
  loadVoices: (key: string, keptMs: number, ...pairs: string[]) => Promise<number>
  freeVoice: (key: string, network: string, id: string) => Promise<number>
  hset: (key: string, field: string, value: string) => Promise<number>
}

/**
 * Voices that several instances share. While Redis does not answer, this process counts for itself from what stands in
 * `reports`: of one network, three voices an instance at most. What was counted so is read into Redis when it is back.
 * @param read the counted voices of an interval of one service in the database.
 * @param openOwn voices of this process alone, which know nothing yet.
 * @param monotonic real milliseconds.
 */
export function shareVoices (
  redis: Redis, read: (intervalAt: number, serviceId: number) => Promise<Voice[]>, openOwn: () => Voices, monotonic: () => number
): Voices {
  redis.defineCommand('admitVoice', { numberOfKeys: 1, lua: ADMIT })
  redis.defineCommand('loadVoices', { numberOfKeys: 1, lua: LOAD })
  redis.defineCommand('freeVoice', { numberOfKeys: 1, lua: FREE })
  const commands = redis as unknown as Commands
  // Which keys hold all that this process knows of, and since when (monotonic ms).
  const loaded = new Map<string, number>()
  const loading = new Map<string, Promise<void>>()
  let own: Voices | undefined

  const fail = () => {
    loaded.clear()
    return (own ??= openOwn())
  }

  async function load (key: string, { serviceId, intervalAt }: Speaker): Promise<void> {
    const pairs = (await read(intervalAt, serviceId)).flatMap(({ network, id }) => [network, id])
    for (let at = 0; at < pairs.length; at += 2 * LOADED_AT_ONCE) {
      await commands.loadVoices(key, KEPT_MS, ...pairs.slice(at, at + 2 * LOADED_AT_ONCE))
    }
    await commands.hset(key, '', '1')
    await commands.loadVoices(key, KEPT_MS)
    loaded.set(key, monotonic())
  }

  /** All who wait share one reading. */
  function loadOnce (key: string, speaker: Speaker): Promise<void> {
    let under = loading.get(key)
    if (under === undefined) loading.set(key, under = load(key, speaker).finally(() => { loading.delete(key) }))
    return under
  }

  async function ask (speaker: Speaker): Promise<boolean> {
    const key = keyOf(speaker)
    if (!loaded.has(key)) await loadOnce(key, speaker)
    const ask = () => commands.admitVoice(key, speaker.network, speaker.id, NETWORK_VOICES_MAX, KEPT_MS)
    let told = await ask()
    if (told === UNKNOWN) {
      await loadOnce(key, speaker)
      told = await ask()
    }
    if (told === UNKNOWN) throw new Error('Redis forgets what it was just told.')
    own = undefined
    return told !== NO_ROOM
  }

  return {
    ready: () => true,
    async admit (speaker) {
      try {
        return await ask(speaker)
      } catch {
        const voices = fail()
        await voices.ready(speaker.serviceId, speaker.intervalAt)
        return voices.admit(speaker)
      }
    },
    free (speakers) {
      own?.free(speakers)
      for (const speaker of speakers) {
        const key = keyOf(speaker)
        loaded.delete(key)
        commands.freeVoice(key, speaker.network, speaker.id).catch(fail)
      }
    },
    rebuild: async () => {},
    tidy () {
      own?.tidy()
      for (const [key, at] of loaded) if (monotonic() - at > KEPT_MS) loaded.delete(key)
    }
  }
}

function keyOf ({ serviceId, intervalAt }: Speaker): string {
  return `groundswell:voices:${serviceId}:${intervalAt}`
}
