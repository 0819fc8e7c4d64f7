import type { PodRecord } from './record.ts'

export interface PodStore {
  add(record: PodRecord): void
  delete(uid: string): void
  get(uid: string): PodRecord | undefined
  /** The pod that has the name now: the newest, where one of the same name is still on its way out. */
  byName(namespace: string, name: string): PodRecord | undefined
  all(): PodRecord[]
  readonly size: number
  onChange(listener: (uid: string) => void): () => void
  emit(uid: string): void
}

export function createPodStore(): PodStore {
  const records = new Map<string, PodRecord>()
  const names = new Map<string, string>()
  const listeners = new Set<(uid: string) => void>()
  const nameOf = ({ pod: { metadata } }: PodRecord) => `${metadata.namespace}/${metadata.name}`

  return {
    add(record) {
      records.set(record.uid, record)
      names.set(nameOf(record), record.uid)
    },
    delete(uid) {
      const record = records.get(uid)
      if (!record) return
      records.delete(uid)
      if (names.get(nameOf(record)) === uid) names.delete(nameOf(record))
    },
    get: (uid) => records.get(uid),
    byName: (namespace, name) => records.get(names.get(`${namespace}/${name}`) ?? ''),
    all: () => [...records.values()],
    get size() {
      return records.size
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    emit(uid) {
      for (const listener of listeners) listener(uid)
    }
  }
}
