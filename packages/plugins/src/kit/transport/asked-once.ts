/** One question at a time, however many ask: what is answered was asked after the call. */
export function askedOnce<T>(ask: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined
  let next: Promise<T> | undefined
  const begin = (): Promise<T> => {
    const begun = ask().finally(() => {
      if (running === begun) running = undefined
    })
    return (running = begun)
  }
  return () => {
    if (!running) return begin()
    next ??= running
      .catch(() => {})
      .then(() => {
        next = undefined
        return begin()
      })
    return next
  }
}
