import { lex, TemplateError, type Part, type Token } from './lexer.ts'

export type Expression =
  | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
  /** The value at hand, or of a variable, and from there on by fields. */
  | {
      readonly kind: 'path'
      readonly of: Expression | '.' | `$${string}`
      readonly fields: readonly string[]
    }
  | { readonly kind: 'call'; readonly name: string; readonly args: readonly Expression[] }
  /** Commands one after the other: the value of one is the last argument of the next. */
  | { readonly kind: 'pipe'; readonly commands: readonly Expression[] }

export interface Pipeline {
  readonly line: number
  /** Variables that take the value; of range, key and element. */
  readonly variables: readonly string[]
  readonly declares: boolean
  readonly value: Expression
}

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly pipeline: Pipeline }
  | {
      readonly kind: 'if' | 'with' | 'range'
      readonly pipeline: Pipeline
      readonly body: readonly Node[]
      readonly otherwise: readonly Node[]
    }
  | { readonly kind: 'template'; readonly line: number; readonly name: string; readonly pipeline?: Pipeline }
  | { readonly kind: 'break' | 'continue' }

/** Templates by name; that of the whole text is ''. */
export type Templates = ReadonlyMap<string, readonly Node[]>

/** @throws TemplateError */
export function parse(source: string): Templates {
  const templates = new Map<string, readonly Node[]>()
  const parser = new Parser(lex(source), templates)
  templates.set('', parser.list([]).nodes)
  return templates
}

class Parser {
  readonly #parts: readonly Part[]
  readonly #templates: Map<string, readonly Node[]>
  #at = 0
  #line = 1
  /** Around the action at hand. */
  #ranges = 0

  constructor(parts: readonly Part[], templates: Map<string, readonly Node[]>) {
    this.#parts = parts
    this.#templates = templates
  }

  /** Up to one of these words, or the end where there are none. */
  list(ends: readonly string[]): { readonly nodes: Node[]; readonly end?: Words } {
    const nodes: Node[] = []
    const { length } = this.#parts
    const begun = this.#line
    while (this.#at < length) {
      const part = this.#parts[this.#at++]!
      if (part.kind === 'text') {
        nodes.push(part)
        continue
      }
      this.#line = part.line
      const words = new Words(part.tokens, part.line)
      if (ends.some((end) => words.isNext(end))) return { nodes, end: words }
      const node = this.#action(words)
      if (node) nodes.push(node)
    }
    if (ends.length > 0) throw new TemplateError(begun, 'unclosed: {{end}} is missing')
    return { nodes }
  }

  #action(words: Words): Node | undefined {
    const { line } = words
    for (const kind of ['if', 'with', 'range'] as const)
      if (words.takes(kind)) return this.#control(kind, words)
    for (const kind of ['break', 'continue'] as const)
      if (words.takes(kind)) {
        words.end()
        if (this.#ranges === 0) throw new TemplateError(line, `{{${kind}}} outside {{range}}`)
        return { kind }
      }
    if (words.takes('define') || words.isNext('block')) {
      const isBlock = words.takes('block')
      const name = words.text()
      const pipeline = isBlock ? words.pipeline() : undefined
      words.end()
      const { nodes, end } = this.list(['end'])
      end!.takes('end')
      end!.end()
      // A definition that says nothing leaves the one before.
      const says = (node: Node) => node.kind !== 'text' || node.text.trim() !== ''
      const before = this.#templates.get(name)
      if (before?.some(says) && nodes.some(says))
        throw new TemplateError(line, `template ${JSON.stringify(name)} is defined twice`)
      if (!before || nodes.some(says)) this.#templates.set(name, nodes)
      return pipeline && { kind: 'template', line, name, pipeline }
    }
    if (words.takes('template')) {
      const name = words.text()
      const pipeline = words.isOver() ? undefined : words.pipeline()
      words.end()
      return { kind: 'template', line, name, ...(pipeline && { pipeline }) }
    }
    for (const word of ['end', 'else'])
      if (words.isNext(word)) throw new TemplateError(line, `unexpected {{${word}}}`)
    const pipeline = words.pipeline()
    words.end()
    return { kind: 'action', pipeline }
  }

  #control(kind: 'if' | 'with' | 'range', words: Words): Node {
    const pipeline = words.pipeline(kind === 'range' ? 2 : 1)
    words.end()
    if (kind === 'range') this.#ranges++
    const { nodes: body, end } = this.list(['else', 'end'])
    if (kind === 'range') this.#ranges--
    return { kind, pipeline, body, otherwise: this.#otherwise(kind, end!) }
  }

  #otherwise(kind: 'if' | 'with' | 'range', words: Words): readonly Node[] {
    if (words.takes('end')) {
      words.end()
      return []
    }
    words.takes('else')
    // {{else if}} is an if of its own that shares the end.
    if (kind !== 'range' && words.takes(kind)) return [this.#control(kind, words)]
    words.end()
    const { nodes, end } = this.list(['end'])
    end!.takes('end')
    end!.end()
    return nodes
  }
}

const words = new Set([
  'if',
  'with',
  'range',
  'break',
  'continue',
  'define',
  'block',
  'template',
  'end',
  'else'
])

/** The tokens of one action. */
class Words {
  readonly line: number
  readonly #tokens: readonly Token[]
  #at = 0

  constructor(tokens: readonly Token[], line: number) {
    this.#tokens = tokens
    this.line = line
    this.#skip()
  }

  isNext(word: string): boolean {
    const token = this.#tokens[this.#at]
    return token?.kind === 'name' && token.value === word
  }

  takes(word: string): boolean {
    if (!this.isNext(word)) return false
    this.#next()
    return true
  }

  isOver(): boolean {
    return this.#at >= this.#tokens.length
  }

  end(): void {
    if (!this.isOver()) throw this.#unexpected()
  }

  text(): string {
    const token = this.#next()
    if (token?.kind !== 'string') throw this.#error('expected the name of a template in quotes')
    return token.value
  }

  pipeline(mostVariables = 1): Pipeline {
    const begun = this.#at
    const variables: string[] = []
    while (this.#peek()?.kind === 'variable') {
      variables.push(this.#next()!.value as string)
      if (variables.length < mostVariables && this.#isMark(',')) this.#next()
      else break
    }
    const declares = this.#isMark(':=')
    if (variables.length > 0 && (declares || this.#isMark('='))) this.#next()
    else {
      this.#at = begun
      variables.length = 0
    }
    return { line: this.line, variables, declares, value: this.#pipe() }
  }

  #pipe(): Expression {
    const commands = [this.#command()]
    while (this.#isMark('|')) {
      this.#next()
      commands.push(this.#command())
    }
    return commands.length === 1 ? commands[0]! : { kind: 'pipe', commands }
  }

  /** Operands up to `|`, `)` or the end; a function takes those behind it. */
  #command(): Expression {
    const first = this.#peek()
    if (first?.kind === 'name' && !constants.has(first.value)) {
      if (words.has(first.value)) throw this.#unexpected()
      this.#next()
      return { kind: 'call', name: first.value, args: this.#operands() }
    }
    const operands = this.#operands()
    if (operands.length === 0) throw this.#error('a value is missing')
    const [value, more] = operands
    if (more) throw this.#error('methods and functions of the data cannot be called with arguments')
    if (value!.kind === 'literal' && value!.value === null) throw this.#error('nil is not a command')
    return value!
  }

  #operands(): Expression[] {
    const operands: Expression[] = []
    while (!this.isOver() && !this.#isMark('|') && !this.#isMark(')')) operands.push(this.#operand())
    return operands
  }

  #operand(): Expression {
    const token = this.#tokens[this.#at++]
    switch (token?.kind) {
      case 'string':
      case 'number':
        this.#skip()
        return { kind: 'literal', value: token.value }
      case 'name': {
        this.#skip()
        const value = constants.get(token.value)
        // A function without arguments.
        return value === undefined
          ? { kind: 'call', name: token.value, args: [] }
          : { kind: 'literal', value }
      }
      case 'field':
        return { kind: 'path', of: '.', fields: [token.value, ...this.#fields()] }
      case 'variable':
        return { kind: 'path', of: token.value as `$${string}`, fields: this.#fields() }
      case 'mark':
        if (token.value === '.') {
          this.#skip()
          return { kind: 'path', of: '.', fields: [] }
        }
        if (token.value === '(') {
          this.#skip()
          const of = this.#pipe()
          if (!this.#isMark(')')) throw this.#error(') is missing')
          this.#at++
          const fields = this.#fields()
          return fields.length === 0 ? of : { kind: 'path', of, fields }
        }
    }
    this.#at--
    throw this.#unexpected()
  }

  /** Those that follow without a blank. */
  #fields(): string[] {
    const fields: string[] = []
    for (let token = this.#tokens[this.#at]; token?.kind === 'field'; token = this.#tokens[this.#at]) {
      fields.push(token.value)
      this.#at++
    }
    this.#skip()
    return fields
  }

  #isMark(value: string): boolean {
    const token = this.#peek()
    return token?.kind === 'mark' && token.value === value
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#at]
  }

  #next(): Token | undefined {
    const token = this.#tokens[this.#at++]
    this.#skip()
    return token
  }

  #skip(): void {
    for (let token = this.#peek(); token?.kind === 'mark' && token.value === ' '; token = this.#peek())
      this.#at++
  }

  #unexpected(): TemplateError {
    return this.#error(`unexpected ${JSON.stringify(this.#peek()?.value ?? 'end')}`)
  }

  #error(message: string): TemplateError {
    return new TemplateError(this.line, message)
  }
}

const constants = new Map<string, boolean | null>([
  ['true', true],
  ['false', false],
  ['nil', null]
])
