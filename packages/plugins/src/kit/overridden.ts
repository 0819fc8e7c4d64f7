import type { Backend } from './backend.ts'

/**
 * A backend with some methods of its own in the place of another's. A class keeps its own fields, so its methods are still
 * called on itself.
 */
export function overridden<B extends Backend>(backend: B, own: Partial<Backend>): B {
  const inner = new Proxy(backend, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    }
  })
  return Object.assign(Object.create(inner) as B, own)
}
