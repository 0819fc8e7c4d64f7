import { functions } from './functions.ts'
import { TemplateError } from './lexer.ts'
import type { Expression, Node, Pipeline, Templates } from './parser.ts'
import { format, isMap, sortedKeys, truth } from './values.ts'

export interface RenderOptions {
  /**
   * A field of a value, by its name in Go; undefined where there is none of that name.
   * @default that of a map, null where it lacks it
   */
  readonly field?: (value: unknown, name: string) => unknown
  /** What is printed of nil. @default <no value> */
  readonly absent?: string
}

/** More templates within each other are no end of them. */
const deepest = 1000

/**
 * The text of a template for some data.
 * @throws TemplateError
 */
export function render(
  templates: Templates,
  data: unknown,
  { field = ofMap, absent = '<no value>' }: RenderOptions = {}
): string {
  return new Rendering(templates, { field, absent }).text(data)
}

function ofMap(value: unknown, name: string): unknown {
  if (!isMap(value)) return undefined
  return Object.hasOwn(value, name) ? value[name] : null
}

/** Variables of one block, and of those around it. */
class Scope {
  readonly outer: Scope | undefined
  readonly values = new Map<string, unknown>()

  constructor(outer?: Scope) {
    this.outer = outer
  }

  /** The innermost variables of which one has this name. */
  holding(name: string): Map<string, unknown> | undefined {
    return this.values.has(name) ? this.values : this.outer?.holding(name)
  }
}

type Flow = 'break' | 'continue' | undefined

class Rendering {
  readonly #templates: Templates
  readonly #field: Required<RenderOptions>['field']
  readonly #absent: string
  readonly #out: string[] = []
  #line = 1
  #depth = 0

  constructor(templates: Templates, { field, absent }: Required<RenderOptions>) {
    this.#templates = templates
    this.#field = field
    this.#absent = absent
  }

  text(data: unknown): string {
    this.#template('', data)
    return this.#out.join('')
  }

  #template(name: string, data: unknown): void {
    const nodes = this.#templates.get(name)
    if (!nodes) throw this.#error(`template ${JSON.stringify(name)} is not defined`)
    if (++this.#depth > deepest) throw this.#error('templates contain each other without end')
    const scope = new Scope()
    scope.values.set('$', data)
    this.#run(nodes, data, scope)
    this.#depth--
  }

  #run(nodes: readonly Node[], dot: unknown, outer: Scope): Flow {
    const scope = new Scope(outer)
    for (const node of nodes) {
      const flow = this.#node(node, dot, scope)
      if (flow) return flow
    }
    return undefined
  }

  #node(node: Node, dot: unknown, scope: Scope): Flow {
    switch (node.kind) {
      case 'text':
        this.#out.push(node.text)
        return undefined
      case 'action': {
        const value = this.#pipeline(node.pipeline, dot, scope)
        if (node.pipeline.variables.length === 0)
          this.#out.push(value === null || value === undefined ? this.#absent : format(value))
        return undefined
      }
      case 'template': {
        this.#line = node.line
        this.#template(node.name, node.pipeline ? this.#pipeline(node.pipeline, dot, scope) : null)
        return undefined
      }
      case 'if':
      case 'with': {
        const inner = new Scope(scope)
        const value = this.#pipeline(node.pipeline, dot, inner)
        if (!truth(value)) return this.#run(node.otherwise, dot, inner)
        return this.#run(node.body, node.kind === 'with' ? value : dot, inner)
      }
      case 'range':
        return this.#range(node, dot, new Scope(scope))
      default:
        return node.kind
    }
  }

  #range(
    { pipeline, body, otherwise }: Extract<Node, { kind: 'range' | 'if' | 'with' }>,
    dot: unknown,
    scope: Scope
  ): Flow {
    this.#line = pipeline.line
    const value = this.#value(pipeline.value, dot, scope)
    const entries = this.#entries(value)
    if (entries.length === 0) return this.#run(otherwise, dot, scope)
    const { variables, declares } = pipeline
    for (const [key, element] of entries) {
      const inner = new Scope(scope)
      const given = variables.length === 2 ? [key, element] : [element]
      variables.forEach((name, index) => this.#assign(name, given[index], declares, inner))
      if (this.#run(body, element, inner) === 'break') break
    }
    return undefined
  }

  #entries(value: unknown): readonly (readonly [unknown, unknown])[] {
    if (value === null || value === undefined) return []
    if (Array.isArray(value)) return [...value.entries()]
    if (isMap(value)) return sortedKeys(value).map((key) => [key, value[key]])
    if (typeof value === 'number' && Number.isInteger(value))
      return Array.from({ length: Math.max(0, value) }, (_, index) => [index, index])
    throw this.#error(`range can't iterate over ${format(value)}`)
  }

  #pipeline({ line, variables, declares, value }: Pipeline, dot: unknown, scope: Scope): unknown {
    this.#line = line
    const found = this.#value(value, dot, scope)
    for (const name of variables) this.#assign(name, found, declares, scope)
    return found
  }

  #assign(name: string, value: unknown, declares: boolean, scope: Scope): void {
    const holder = declares ? scope.values : scope.holding(name)
    if (!holder) throw this.#error(`undefined variable ${name}`)
    holder.set(name, value)
  }

  #value(expression: Expression, dot: unknown, scope: Scope, last?: readonly [unknown]): unknown {
    switch (expression.kind) {
      case 'literal':
        if (last) throw this.#error('a value is given to what is no function')
        return expression.value
      case 'pipe':
        return expression.commands.reduce<readonly [unknown] | undefined>(
          (given, command) => [this.#value(command, dot, scope, given)],
          undefined
        )![0]
      case 'path':
        if (last) throw this.#error('a value is given to what is no function')
        return this.#path(expression, dot, scope)
      case 'call':
        return this.#call(expression, dot, scope, last)
    }
  }

  #path({ of, fields }: Extract<Expression, { kind: 'path' }>, dot: unknown, scope: Scope): unknown {
    let value: unknown
    if (of === '.') value = dot
    else if (typeof of !== 'string') value = this.#value(of, dot, scope)
    else {
      const holder = scope.holding(of)
      if (!holder) throw this.#error(`undefined variable ${of}`)
      value = holder.get(of)
    }
    for (const name of fields) {
      if (value === null || value === undefined) throw this.#error(`nil has no field ${name}`)
      const next = this.#field(value, name)
      if (next === undefined) throw this.#error(`can't evaluate field ${name}`)
      value = next
    }
    return value
  }

  #call(
    { name, args }: Extract<Expression, { kind: 'call' }>,
    dot: unknown,
    scope: Scope,
    last?: readonly [unknown]
  ): unknown {
    if (name === 'and' || name === 'or') {
      let value: unknown
      for (const arg of args) {
        value = this.#value(arg, dot, scope)
        if (truth(value) === (name === 'or')) return value
      }
      return last ? last[0] : value
    }
    const called = functions.get(name)
    if (!called) throw this.#error(`function ${JSON.stringify(name)} is not defined`)
    const given = args.map((arg) => this.#value(arg, dot, scope))
    try {
      return called(...given, ...(last ?? []))
    } catch (error) {
      throw this.#error(`${name}: ${(error as Error).message}`)
    }
  }

  #error(message: string): TemplateError {
    return new TemplateError(this.#line, message)
  }
}
