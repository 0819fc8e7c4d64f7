/** Whether a path stays below where it starts: relative, no empty or `..` part, no NUL, none that begins with `..`. */
export function isInnerPath(path: string): boolean {
  return (
    path !== '' &&
    !path.includes('\0') &&
    path.split('/').every((part) => part !== '' && part !== '.' && !part.startsWith('..'))
  )
}

/** A subPath may end in a slash and hold `.` or doubled slashes; the path without them, undefined if it leaves. */
export function innerPath(path: string): string | undefined {
  if (path.startsWith('/') || path.includes('\0')) return undefined
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  return parts.includes('..') ? undefined : parts.join('/')
}

/** An absolute path with neither `..` nor NUL, cleaned of doubled slashes; undefined when it is none. */
export function absolutePath(path: string): string | undefined {
  if (!path.startsWith('/')) return undefined
  const inner = innerPath(path.replace(/^\/+/, ''))
  return inner === undefined ? undefined : `/${inner}`
}

/** Whether `path` is `root` or lies below it; both cleaned. */
export function isBelow(path: string, root: string): boolean {
  const base = root === '/' ? '' : root.replace(/\/+$/, '')
  return path === root || path === base || path.startsWith(`${base}/`)
}
