import { longOption, shortOption, type SbatchOption } from './sbatch-options.ts'
import { tokenize, TokenizeError } from '../../kit/containers/tokenize.ts'

/** One flag, by its long name. */
export interface Flag {
  readonly name: string
  readonly value?: string
  /** As it was written, for messages. */
  readonly written: string
}

export interface ParsedFlags {
  readonly flags: readonly Flag[]
  readonly notices: readonly string[]
  /** What cannot be understood, each with what to do. */
  readonly errors: readonly string[]
}

/** Flags of sbatch out of an annotation; pure and total. */
export function parseFlags(text: string): ParsedFlags {
  try {
    const { words, notices } = tokenize(text)
    return { ...readFlags(words), notices }
  } catch (error) {
    if (!(error instanceof TokenizeError)) throw error
    return { flags: [], notices: [], errors: [error.message] }
  }
}

/** As an argument of sbatch. */
export const flagText = ({ name, value }: Flag): string =>
  value === undefined ? `--${name}` : `--${name}=${value}`

function readFlags(words: readonly string[]): Pick<ParsedFlags, 'flags' | 'errors'> {
  const flags: Flag[] = []
  const errors: string[] = []
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!
    const add = (option: SbatchOption, value: string | undefined, written: string) => {
      if (value !== undefined && option.value === 'none')
        errors.push(`${written}: --${option.name} takes no value; remove ${JSON.stringify(value)}`)
      else if (value !== undefined && /\p{Cc}/u.test(value))
        errors.push(`${written.replace(/\p{Cc}/gu, '?')}: the value has a control character; remove it`)
      else flags.push({ name: option.name, written, ...(value === undefined ? {} : { value }) })
    }
    /** The value of a flag that needs one may be the next word. */
    const next = (option: SbatchOption, written: string) => {
      const value = words[at + 1]
      if (value === undefined || longOption(/^--([^=]+)/.exec(value)?.[1] ?? '') !== undefined)
        errors.push(`${written}: --${option.name} needs a value; write --${option.name}=VALUE`)
      else {
        at++
        add(option, value, `${written} ${value}`)
      }
    }
    if (word.startsWith('--') && word.length > 2) {
      const [, name = '', value] = /^--([^=]*)(?:=(.*))?$/s.exec(word) ?? []
      const option = longOption(name)
      if (!option)
        errors.push(`${word}: sbatch has no option --${name}, or several begin so; correct or remove it`)
      else if (value === undefined && option.value === 'required') next(option, word)
      else add(option, value, word)
    } else if (word.startsWith('-') && word.length > 1) {
      for (let letter = 1; letter < word.length; letter++) {
        const option = shortOption(word[letter]!)
        if (!option) {
          errors.push(`${word}: sbatch has no option -${word[letter]}; correct or remove it`)
          break
        }
        const rest = word.slice(letter + 1).replace(/^=/, '')
        if (option.value === 'required' && rest === '') next(option, word)
        else if (option.value === 'none') {
          add(option, undefined, word)
          continue
        } else add(option, rest === '' ? undefined : rest, word)
        break
      }
    } else errors.push(`${JSON.stringify(word)} belongs to no flag; a value with blanks is put in quotes`)
  }
  return { flags, errors }
}
