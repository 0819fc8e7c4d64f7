/** Ctrl-C and TERM: the first asks for an orderly end, the second ends at once with status 130. */
export interface Interrupt {
  readonly signal: AbortSignal
  /** Resolves at the first signal. */
  readonly done: Promise<void>
  dispose(): void
}

export function onInterrupt(first: () => void, second: () => void = () => {}): Interrupt {
  const controller = new AbortController()
  let settle = () => {}
  const done = new Promise<void>((resolve) => (settle = resolve))
  const handler = () => {
    if (controller.signal.aborted) {
      second()
      process.exit(130)
    }
    controller.abort()
    first()
    settle()
  }
  process.on('SIGINT', handler)
  process.on('SIGTERM', handler)
  return {
    signal: controller.signal,
    done,
    dispose: () => {
      process.off('SIGINT', handler)
      process.off('SIGTERM', handler)
    }
  }
}
