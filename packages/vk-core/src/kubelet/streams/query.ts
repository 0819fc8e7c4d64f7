import { VkError } from '../../errors.ts'

export interface CommandQuery {
  readonly command: readonly string[]
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
  readonly tty: boolean
}

/**
 * The query of `/exec` and `/attach`, of which the kubelet has its own names for the streams. Read from the bytes:
 * a command that is no UTF-8 is refused rather than changed.
 */
export function parseCommandQuery(url: string): CommandQuery {
  const pairs = pairsOf(url)
  const is = (name: string) =>
    pairs.some(([key, value]) => key === name && (value === '1' || value === 'true'))
  const tty = is('tty')
  const query = {
    command: pairs.flatMap(([key, value]) => (key === 'command' ? [value] : [])),
    stdin: is('input') || is('stdin'),
    stdout: is('output') || is('stdout'),
    stderr: (is('error') || is('stderr')) && !tty,
    tty
  }
  if (!query.stdin && !query.stdout && !query.stderr)
    throw new VkError('VK_INVALID_STREAM', {
      option: 'input, output, error',
      reason: 'you must specify at least 1 of stdin, stdout, stderr'
    })
  return query
}

/** The `port` of a WebSocket port-forward, several times or with commas. */
export const parsePorts = (url: string): readonly number[] =>
  pairsOf(url)
    .flatMap(([key, value]) => (key === 'port' || key === 'ports' ? value.split(',') : []))
    .map(parsePort)

export function parsePort(text: string): number {
  const port = Number(text)
  if (/^\d{1,5}$/.test(text) && port > 0 && port < 65_536) return port
  throw new VkError('VK_INVALID_STREAM', { option: 'port', reason: 'expected a number from 1 to 65535' })
}

function pairsOf(url: string): (readonly [string, string])[] {
  const [, query = ''] = /\?(.*)$/s.exec(url) ?? []
  return query
    .split('&')
    .filter(Boolean)
    .map((pair) => {
      const [name = '', ...value] = pair.split('=')
      return [unescape(name, name), unescape(value.join('='), name)] as const
    })
}

function unescape(text: string, option: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch (error) {
    throw new VkError('VK_INVALID_STREAM', { option, reason: 'only UTF-8 can be passed on' }, error)
  }
}
