export interface Tokens {
  readonly words: readonly string[]
  /** What was passed over, in words for the user. */
  readonly notices: readonly string[]
}

/** Text that has no words: `message` says what to mend. */
export class TokenizeError extends Error {}

const blank = /\s/
/** Within double quotes a backslash escapes these only: POSIX.1-2024, Shell Command Language, 2.2.3. */
const escapable = new Set(['"', '\\', '$', '`'])

/**
 * The words of sbatch flags as users write them in annotations: shell quoting, continuation lines (also as YAML
 * leaves them when it folds lines), and pasted `#SBATCH` lines with their comments. Nothing is ever expanded.
 * @throws TokenizeError
 */
export function tokenize(text: string): Tokens {
  const whole = withoutOuterQuotes(text)
  const words: string[] = []
  let word: string | undefined
  let at = 0
  const end = () => {
    if (word !== undefined) words.push(word)
    word = undefined
  }
  while (at < whole.length) {
    const char = whole[at]!
    if (blank.test(char)) {
      end()
      at++
    } else if (char === '#' && word === undefined) {
      at = afterComment(whole, at)
    } else if (char === '\\') {
      const next = whole[at + 1]
      if (next === undefined || continues(whole, at, word)) {
        end()
        at++
      } else if (next === '\n') at += 2
      else {
        word = (word ?? '') + next
        at += 2
      }
    } else if (char === "'" || char === '"') {
      const [quoted, after] = readQuoted(whole, at)
      word = (word ?? '') + quoted
      at = after
    } else {
      word = (word ?? '') + char
      at++
    }
  }
  end()
  return { words, notices: whole === text ? [] : ['the quotes around the whole text are passed over'] }
}

/** A backslash at what was the end of a line: YAML has folded the line break into a blank. */
function continues(text: string, at: number, word: string | undefined): boolean {
  const rest = /^[^\S\n]+(\S?)/.exec(text.slice(at + 1))
  return rest !== null && (word === undefined || rest[1] === '-' || rest[1] === '')
}

/** `#SBATCH` is passed over and what follows it counts; any other `#` hides the rest of its line. */
function afterComment(text: string, at: number): number {
  const directive = /^#SBATCH(?=\s|$)/.exec(text.slice(at))
  if (directive) return at + directive[0].length
  const line = text.indexOf('\n', at)
  return line < 0 ? text.length : line
}

function readQuoted(text: string, start: number): [string, number] {
  const quote = text[start]!
  let value = ''
  for (let at = start + 1; at < text.length; at++) {
    const char = text[at]!
    if (char === quote) return [value, at + 1]
    const next = text[at + 1]
    if (quote === '"' && char === '\\' && next === '\n') at++
    else if (quote === '"' && char === '\\' && next !== undefined && escapable.has(next)) {
      value += next
      at++
    } else value += char
  }
  throw new TokenizeError(
    `the quote ${quote} before ${JSON.stringify(text.slice(start + 1, start + 21))} has no end; close or remove it`
  )
}

/** Quotes in YAML that reached the value: `'"--gres=gpu:4 --time=10"'` is no single word. */
function withoutOuterQuotes(text: string): string {
  const [, , inner] = /^\s*(["'])(-[^"']*\s[^"']*)\1\s*$/s.exec(text) ?? []
  return inner !== undefined && /\s-/.test(inner) ? inner : text
}
