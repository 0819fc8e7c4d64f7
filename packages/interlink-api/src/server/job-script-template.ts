import { readFile } from 'node:fs/promises'
import { ConfigError } from '../config/yaml.ts'
import { InterlinkError } from '../errors.ts'
import { parse, render, TemplateError } from '../go-template/index.ts'
import { encodeRetrieved } from '../wire/encode.ts'
import type { RetrievedPodData } from '../wire/messages.ts'

/** The script of a pod. @throws InterlinkError `IL_JOB_SCRIPT_TEMPLATE` */
export type JobScriptTemplate = (data: RetrievedPodData) => string

/**
 * A template of Go's text/template that makes a job's script of a pod, by the names that Go has for its data:
 * `.Pod.Spec.Containers`, `.Containers`, `.JobScriptBuild`.
 * @throws ConfigError
 */
export async function readJobScriptTemplate(path: string): Promise<JobScriptTemplate> {
  const source = await readFile(path, 'utf8').catch((error: Error) => {
    throw new ConfigError(`jobScriptTemplate: ${path} cannot be read: ${error.message}`)
  })
  const templates = wordsOf(
    path,
    () => parse(source),
    (message) => new ConfigError(`jobScriptTemplate: ${message}`)
  )
  return (data) =>
    wordsOf(
      path,
      () => render(templates, encodeRetrieved(data), { field, absent: '' }),
      (reason) => new InterlinkError('IL_JOB_SCRIPT_TEMPLATE', { reason })
    )
}

function wordsOf<T>(path: string, work: () => T, failure: (message: string) => Error): T {
  try {
    return work()
  } catch (error) {
    if (error instanceof TemplateError) throw failure(`${path}: ${error.message}`)
    throw error
  }
}

/** Names of Go that no change of case makes those of the wire. */
const names: Readonly<Record<string, string>> = {
  objectmeta: 'metadata',
  jobscriptbuild: 'jobConfig',
  storageephemeral: 'ephemeral-storage'
}

/**
 * A field by its name in Go. What JSON leaves out is the zero value of Go, whatever its type: nothing can tell whether there
 * is such a field.
 */
function field(value: unknown, name: string): unknown {
  if (typeof value === 'string') return name === 'String' ? value : undefined
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  const map = value as Readonly<Record<string, unknown>>
  const lower = name.toLowerCase()
  const wanted = [name, lower, names[lower]?.toLowerCase()]
  const key = [name, ...Object.keys(map)].find(
    (each) => Object.hasOwn(map, each) && (each === name || wanted.includes(each.toLowerCase()))
  )
  if (key !== undefined) return map[key]
  // One container each, in a list that is named after it.
  if (name === 'Containers' && Array.isArray(map.container)) return map.container
  // Embedded in Go: .Pod.Name is .Pod.ObjectMeta.Name.
  return typeof map.metadata === 'object' && map.metadata !== null ? field(map.metadata, name) : null
}
