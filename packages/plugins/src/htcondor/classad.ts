/**
 * Everything that is written into a submit description goes through here: condor_submit(1), "Submit description file
 * commands", and the ClassAd language, classad-mechanism of the HTCondor manual. Pure.
 *
 * A submit description is read line by line, `$(…)` and `$ENV(…)` in it are macros, and `$$(…)` of what comes out is
 * replaced where the job is matched. So nothing that is written here holds a newline, and a `$` only as `$(DOLLAR)`
 * or as an escape of a string.
 */

/** Text that cannot be written; `message` says what to mend. */
export class ClassAdError extends Error {}

const control = /\p{Cc}/u

/** A string literal of the new syntax; what is no printable character is an octal escape. */
export function classadString(text: string): string {
  if (text.includes('\0')) throw new ClassAdError('a ClassAd string cannot hold a NUL; remove it')
  const escaped = text
    .replace(/["\\]/g, (char) => `\\${char}`)
    .replace(/[\p{Cc}$]/gu, (char) => `\\${char.charCodeAt(0).toString(8).padStart(3, '0')}`)
  return `"${escaped}"`
}

/** The value of a command that is no expression, such as a path; blanks at its ends would be lost. */
export function submitValue(text: string): string {
  refuseUnwritable(text)
  if (text !== text.trim() || text.endsWith('\\'))
    throw new ClassAdError(
      `${JSON.stringify(text)} begins or ends with a blank or ends with a backslash; rename it`
    )
  return withDollars(text)
}

/** The value of `arguments`, each word as it is; condor_submit(1), "arguments", new syntax. */
export function submitArguments(words: readonly string[]): string {
  for (const word of words) refuseUnwritable(word)
  const quoted = words.map((word) => `'${word.replaceAll("'", "''")}'`).join(' ')
  return `"${withDollars(quoted.replaceAll('"', '""'))}"`
}

function refuseUnwritable(text: string): void {
  if (control.test(text)) throw new ClassAdError(`${JSON.stringify(text)} has a control character; remove it`)
  if (text.includes('$$'))
    throw new ClassAdError(`${JSON.stringify(text)} has $$, which HTCondor would expand; rename it`)
}

const withDollars = (text: string): string => text.replaceAll('$', '$(DOLLAR)')

type Token = { readonly kind: 'word' | 'operator' | 'blank'; readonly text: string; readonly at: number }

const string = /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'/y
const number = /\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[BKMGTbkmgt]?(?!\w)/y
const name = /[A-Za-z_]\w*/y
const operator = /=\?=|=!=|>>>|[=!<>]=|&&|\|\||<<|>>|[-+*/%<>!~?:,.&|^=;(){}[\]]/y
const blank = /[ \t]+/y
const kinds = [
  [blank, 'blank'],
  [string, 'word'],
  [number, 'word'],
  [name, 'word'],
  [operator, 'operator']
] as const
const closing: Readonly<Record<string, string>> = { ')': '(', '}': '{', ']': '[' }

/** The words of an expression, in which every bracket and string is closed. @throws ClassAdError */
function tokens(text: string): Token[] {
  if (control.test(text.replaceAll('\t', ' ')))
    throw new ClassAdError('it has a newline or another control character; write it in one line')
  if (text.includes('$')) throw new ClassAdError('it has a $, which condor_submit would expand; remove it')
  const found: Token[] = []
  const open: string[] = []
  for (let at = 0; at < text.length;) {
    if (/^\/[/*]/.test(text.slice(at, at + 2))) throw new ClassAdError('it has a comment; remove it')
    const token = tokenAt(text, at)
    if (!token)
      throw new ClassAdError(
        /["']/.test(text[at]!)
          ? `a string that begins at character ${at + 1} is not closed`
          : `${JSON.stringify(text[at])} at character ${at + 1} is nothing that ClassAds know`
      )
    if (token.kind === 'operator') bracket(token, open)
    found.push(token)
    at += token.text.length
  }
  if (open.length > 0) throw new ClassAdError(`${open.at(-1)} is not closed`)
  return found
}

function tokenAt(text: string, at: number): Token | undefined {
  for (const [pattern, kind] of kinds) {
    pattern.lastIndex = at
    const [match] = pattern.exec(text) ?? []
    if (match !== undefined) return { kind, text: match, at }
  }
  return undefined
}

function bracket({ text, at }: Token, open: string[]): void {
  if ('({['.includes(text)) open.push(text)
  else if (text in closing && open.pop() !== closing[text])
    throw new ClassAdError(`${text} at character ${at + 1} closes nothing`)
}

/** Why a text of a pod is no expression that could stand within parentheses, or undefined. */
export function expressionError(text: string): string | undefined {
  try {
    const words = tokens(text)
    if (!words.some(({ kind }) => kind === 'word')) return 'it is empty; write an expression'
    const wrong = words.find(({ text }) => text === '=' || text === ';')
    return wrong && `${JSON.stringify(wrong.text)} assigns; compare by == or =?=`
  } catch (error) {
    if (error instanceof ClassAdError) return error.message
    throw error
  }
}

export interface Assignment {
  readonly name: string
  readonly value: string
}

/** `Name = expression` of a text, a line each or with semicolons between. @throws ClassAdError */
export function assignments(text: string): Assignment[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const parts: string[] = ['']
    let depth = 0
    for (const { text } of tokens(line)) {
      if ('({['.includes(text)) depth++
      if (text in closing) depth--
      if (text === ';' && depth === 0) parts.push('')
      else parts[parts.length - 1] += text
    }
    return parts.filter((part) => part.trim() !== '').map(assignment)
  })
}

function assignment(part: string): Assignment {
  const [, name, value = ''] = /^\s*\+?([A-Za-z_]\w*)\s*=(?![=?!])\s*(.*?)\s*$/.exec(part) ?? []
  if (name === undefined)
    throw new ClassAdError(`${JSON.stringify(part.trim())} is no assignment; write Name = expression`)
  const error = expressionError(value)
  if (error !== undefined) throw new ClassAdError(`${name}: ${error}`)
  return { name, value }
}
