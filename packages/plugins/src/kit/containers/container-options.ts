import { Type, type Static } from 'typebox'
import type { Refusal } from '../plan/plan.ts'
import { refuseAnnotation, type Annotation } from '../plan/annotations.ts'
import { tokenize, TokenizeError } from './tokenize.ts'

const closed = { additionalProperties: false } as const

/** What pods may say about how their containers are run. */
export const ContainerPolicy = Type.Object(
  {
    binds: Type.Array(Type.String({ pattern: '^/' }), {
      default: [],
      description: 'directories of the site that slurm-job.vk.io/singularity-mounts may bind; / for all'
    }),
    options: Type.Array(Type.String(), {
      default: [],
      description:
        'options of the runtime that slurm-job.vk.io/singularity-options may have beyond the harmless ones'
    })
  },
  { ...closed, default: {} }
)
export type ContainerPolicy = Static<typeof ContainerPolicy>

/** A runtime's options, as far as pods may know of them. */
export interface OptionTable {
  readonly runtime: string
  /** Those that give no access to what a pod has not: name to whether a value follows. */
  readonly harmless: ReadonlyMap<string, boolean>
  readonly short: Readonly<Record<string, string>>
  readonly valued: ReadonlySet<string>
  /** That which binds `SOURCE:TARGET[:MODE]`. */
  readonly bind: string
}

/** Options of `apptainer instance start` that give no access to what a pod has not: name to whether a value follows. */
const harmless: ReadonlyMap<string, boolean> = new Map([
  ...[
    'nv',
    'nvccli',
    'rocm',
    'no-home',
    'cleanenv',
    'contain',
    'containall',
    'ipc',
    'pid',
    'uts',
    'no-eval'
  ].map((name) => [name, false] as const),
  ...[
    'writable-tmpfs',
    'fakeroot',
    'no-init',
    'no-umask',
    'no-privs',
    'no-https',
    'compat',
    'no-rocm',
    'no-nv'
  ].map((name) => [name, false] as const),
  ['env', true]
])
const short: Readonly<Record<string, string>> = {
  B: 'bind',
  C: 'containall',
  c: 'contain',
  e: 'cleanenv',
  f: 'fakeroot',
  i: 'ipc',
  p: 'pid',
  H: 'home',
  W: 'workdir',
  w: 'writable',
  o: 'overlay',
  S: 'scratch'
}
const valued = new Set([
  'bind',
  'mount',
  'home',
  'workdir',
  'overlay',
  'scratch',
  'pwd',
  'cwd',
  'network',
  'env'
])

export const apptainerOptions: OptionTable = { runtime: 'Apptainer', harmless, short, valued, bind: 'bind' }

/** enroot-start(1), doc/cmd/start.md of github.com/NVIDIA/enroot. */
export const enrootOptions: OptionTable = {
  runtime: 'Enroot',
  harmless: new Map([
    ['rw', false],
    ['root', false],
    ['env', true]
  ]),
  short: { e: 'env', m: 'mount', r: 'root', w: 'rw', c: 'rc' },
  valued: new Set(['env', 'mount', 'rc', 'conf']),
  bind: 'mount'
}

export interface ContainerOptions {
  readonly options: readonly string[]
  readonly refusals: readonly Refusal[]
}

interface Option {
  readonly name: string
  readonly value?: string
}

/** Options of the runtime out of `singularity-mounts` and `-options`, or those of Enroot, as arguments. */
export function containerOptions(
  annotations: readonly (Annotation | undefined)[],
  policy: ContainerPolicy,
  table: OptionTable = apptainerOptions
): ContainerOptions {
  const options: string[] = []
  const refusals: Refusal[] = []
  for (const annotation of annotations) {
    if (!annotation) continue
    const refuse = (message: string) => refusals.push(refuseAnnotation(annotation, message))
    for (const option of readOptions(annotation.value, table, refuse)) {
      const why = whyNot(option, policy, table)
      if (why === undefined)
        options.push(`--${option.name}`, ...(option.value === undefined ? [] : [option.value]))
      else refuse(why)
    }
  }
  return { options, refusals }
}

function readOptions(
  text: string,
  { runtime, short, valued }: OptionTable,
  refuse: (message: string) => void
): Option[] {
  let words: readonly string[]
  try {
    ;({ words } = tokenize(text))
  } catch (error) {
    if (!(error instanceof TokenizeError)) throw error
    refuse(error.message)
    return []
  }
  const options: Option[] = []
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!
    const [, long, letter, given] = /^(?:--([a-z-]+)|-([A-Za-z]))(?:=?(.*))?$/s.exec(word) ?? []
    const name = long ?? (letter === undefined ? undefined : short[letter])
    if (name === undefined) {
      refuse(`${JSON.stringify(word)} is no option of ${runtime}; a value with blanks is put in quotes`)
      continue
    }
    const value = given === '' || given === undefined ? undefined : given
    if (valued.has(name)) {
      const next = value ?? words[++at]
      if (next === undefined) refuse(`${word} needs a value`)
      else options.push({ name, value: next })
    } else options.push(value === undefined ? { name } : { name, value })
  }
  return options
}

function whyNot(
  { name, value }: Option,
  policy: ContainerPolicy,
  { bind, harmless }: OptionTable
): string | undefined {
  if (name === bind) return (value ?? '').split(',').flatMap((one) => whyNotBind(name, one, policy) ?? [])[0]
  if (harmless.has(name) || policy.options.includes(name)) return undefined
  if (name === 'mount')
    return '--mount is not taken from pods; write --bind SOURCE:TARGET, or use a hostPath volume'
  return `--${name} is not allowed to pods of this site; remove it`
}

function whyNotBind(option: string, bind: string, { binds }: ContainerPolicy): string | undefined {
  const [source = '', target, mode] = bind.split(':')
  if (!source.startsWith('/') && target === undefined)
    return `--${option} ${bind} names no path; write SOURCE:TARGET`
  const parts = source.split('/')
  const allowed =
    !parts.includes('..') &&
    binds.some((dir) => dir === '/' || source === dir || source.startsWith(`${dir}/`))
  if (!allowed)
    return `--${option} ${bind}: pods of this site may bind ${binds.join(', ') || 'nothing'}; use a volume, or ask the site to add the directory to options.containers.policy.binds`
  if (mode !== undefined && mode !== 'ro' && mode !== 'rw') return `--${option} ${bind}: the mode is ro or rw`
  return undefined
}
