import { wordsOf } from './words.ts'
import { findingIn, TransportError, type Transport } from './transport.ts'

/**
 * Everything as another user of the machine of `base`, by a rule of sudoers(5) that asks for no password. `base` is
 * left open. The time limit is kept by the user's own timeout(1), as nobody may kill what runs as somebody else.
 */
export function sudoTransport(
  base: Transport,
  user: string,
  env: Readonly<Record<string, string>>,
  bin?: string
): Transport {
  const where = `${user} on ${base.where}`
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const become = ['sudo', '-n', '-H', '-u', user, '--', 'env', ...variables, ...findingIn(bin)]
  return {
    where,
    run: async (argv, { timeoutMs, ...options }) => {
      const limit = ['timeout', '--signal=KILL', String(Math.ceil(timeoutMs / 1000))]
      const ran = await base.run([...become, ...limit, ...argv], { ...options, timeoutMs: timeoutMs + 5000 })
      if (ran.code === 1 && /^sudo: /m.test(ran.stderr))
        throw new TransportError(
          `sudo to ${where}: ${wordsOf(ran.stderr)}; allow it in sudoers: ACCOUNT ALL=(${user}) NOPASSWD: ALL`
        )
      // 128 + KILL, of timeout itself.
      if (ran.code === 137) throw new TransportError(`${argv[0]} of ${where} did not end in time`)
      return ran
    },
    open: (argv) => base.open([...become, ...argv]),
    close: async () => {}
  }
}
