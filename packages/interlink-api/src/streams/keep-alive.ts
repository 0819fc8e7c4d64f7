import type WebSocket from 'ws'

const pingMs = 10_000
const silenceMs = 30_000

/**
 * Keeps a connection that says nothing alive through proxies, and finds out that the peer has gone. Both ends send
 * pings by themselves: an end that reads and hears nothing for 30 s gives up. Answers to pings prove nothing: a peer
 * that waits for its own slow reader cannot see them. `givesUp` is false for peers that send none by themselves.
 */
export function keepAlive(socket: WebSocket, { givesUp = true }: { readonly givesUp?: boolean } = {}): void {
  let heard = performance.now()
  const hear = (): void => void (heard = performance.now())
  for (const event of ['message', 'ping', 'pong'] as const) socket.on(event, hear)
  const timer = setInterval(() => {
    if (socket.isPaused || !givesUp) hear()
    if (performance.now() - heard > silenceMs) socket.terminate()
    else if (socket.readyState === socket.OPEN) socket.ping()
  }, pingMs)
  timer.unref()
  socket.once('close', () => clearInterval(timer))
}
