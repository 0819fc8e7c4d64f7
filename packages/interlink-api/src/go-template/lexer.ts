/** The words of a template of Go's text/template, https://pkg.go.dev/text/template. */

export class TemplateError extends Error {
  override readonly name = 'TemplateError'
  readonly line: number

  constructor(line: number, message: string) {
    super(`line ${line}: ${message}`)
    this.line = line
  }
}

export type Token =
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'number'; readonly value: number }
  /** `name`, `.Field` (without the dot), `$variable` (with the dollar). */
  | { readonly kind: 'name' | 'field' | 'variable'; readonly value: string }
  | { readonly kind: 'mark'; readonly value: '.' | '|' | '(' | ')' | ',' | ':=' | '=' | ' ' }

export type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly line: number; readonly tokens: readonly Token[] }

const action = /\{\{(-(?=\s))?([^]*?)(\s-)?\}\}/y
const comment = /\{\{(-\s+)?\/\*[^]*?\*\/(\s+-)?\}\}/y
const quoted = /"(?:[^"\\\n]|\\.)*"|`[^`]*`|'(?:[^'\\\n]|\\.)+'/y
/** Blanks matter: `.a .b` are two operands, `.a.b` is one. */
const words: readonly [RegExp, (text: string) => Token | undefined][] = [
  [/\s+/y, () => ({ kind: 'mark', value: ' ' })],
  [/"(?:[^"\\\n]|\\.)*"/y, (text) => ({ kind: 'string', value: unquote(text) })],
  [/`[^`]*`/y, (text) => ({ kind: 'string', value: text.slice(1, -1).replaceAll('\r', '') })],
  [/'(?:[^'\\\n]|\\.)+'/y, (text) => ({ kind: 'number', value: unquote(text).codePointAt(0)! })],
  [
    /[+-]?(?:0[xX][\da-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)/y,
    number
  ],
  [/\$[\p{L}\p{Nd}_]*/uy, (text) => ({ kind: 'variable', value: text })],
  [/\.[\p{L}_][\p{L}\p{Nd}_]*/uy, (text) => ({ kind: 'field', value: text.slice(1) })],
  [/[\p{L}_][\p{L}\p{Nd}_]*/uy, (text) => ({ kind: 'name', value: text })],
  [/:=|[.|(),=]/y, (text) => ({ kind: 'mark', value: text as '.' })]
]

/** @throws TemplateError */
export function lex(source: string): Part[] {
  const parts: Part[] = []
  let at = 0
  let trimsNext = false
  const lineOf = (index: number) => source.slice(0, index).split('\n').length
  const pushText = (end: number, trimsEnd: boolean) => {
    let text = source.slice(at, end)
    if (trimsNext) text = text.trimStart()
    if (trimsEnd) text = text.trimEnd()
    if (text !== '') parts.push({ kind: 'text', text })
  }
  for (;;) {
    const open = source.indexOf('{{', at)
    if (open < 0) {
      pushText(source.length, false)
      return parts
    }
    const line = lineOf(open)
    const said = matchAt(comment, source, open)
    if (said) {
      pushText(open, said[1] !== undefined)
      ;[at, trimsNext] = [comment.lastIndex, said[2] !== undefined]
      continue
    }
    const close = endOf(source, open, line)
    const inner = source.slice(open, close)
    const [, trimsBefore, body = '', trimsAfter] = matchAt(action, inner, 0) ?? []
    pushText(open, trimsBefore !== undefined)
    parts.push({ kind: 'action', line, tokens: tokensOf(body, line) })
    ;[at, trimsNext] = [close, trimsAfter !== undefined]
  }
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}

/** Just behind the `}}` that ends an action; one in a string is none. */
function endOf(source: string, open: number, line: number): number {
  for (let at = open + 2; at < source.length;) {
    if (source.startsWith('}}', at)) return at + 2
    if (matchAt(quoted, source, at)) at = quoted.lastIndex
    else at++
  }
  throw new TemplateError(line, 'unclosed action: }} is missing')
}

function tokensOf(body: string, line: number): Token[] {
  const tokens: Token[] = []
  for (let at = 0; at < body.length;) {
    const found = words.find(([pattern]) => matchAt(pattern, body, at))
    if (!found) throw new TemplateError(line, `unexpected ${JSON.stringify(body.slice(at, at + 10))}`)
    const [pattern, make] = found
    const token = make(body.slice(at, pattern.lastIndex))
    if (!token) throw new TemplateError(line, `bad number ${body.slice(at, pattern.lastIndex)}`)
    tokens.push(token)
    at = pattern.lastIndex
  }
  return tokens
}

function number(text: string): Token | undefined {
  const sign = text.startsWith('-') ? -1 : 1
  const value = sign * Number(text.replace(/^[+-]/, '').replaceAll('_', ''))
  return Number.isNaN(value) ? undefined : { kind: 'number', value }
}

const escapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v'
}

/** An interpreted string or a rune of Go. */
const unquote = (text: string): string =>
  text
    .slice(1, -1)
    .replace(
      /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{3})|([^]))/g,
      (_, x?: string, u?: string, U?: string, octal?: string, one?: string) =>
        one === undefined
          ? String.fromCodePoint(octal === undefined ? parseInt((x ?? u ?? U)!, 16) : parseInt(octal, 8))
          : (escapes[one] ?? one)
    )
