import { PluginError } from '../../errors.ts'

/**
 * One word of POSIX shell text that means exactly `value`: nothing in it is expanded, split or read as syntax.
 * The only place where shell text is made from values. NUL cannot be in a word and is refused.
 * See POSIX.1-2024, Shell Command Language, 2.2.2.
 */
export function shellQuote(value: string): string {
  if (value.includes('\0'))
    throw new PluginError('PLUGIN_NUL', { value: value.slice(0, 40).replace(/\0/g, '␀') })
  return `'${value.replaceAll("'", `'\\''`)}'`
}

/** The words of a command, quoted. */
export const shellWords = (words: readonly string[]): string => words.map(shellQuote).join(' ')
