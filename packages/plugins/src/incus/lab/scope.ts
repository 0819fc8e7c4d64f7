/** Which instances, profiles and projects are meant: `remote:project.name`. Pure. */
import { PluginError } from '../../errors.ts'

/** What is absent was not said. */
export interface Scope {
  readonly remote?: string
  readonly project?: string
  /** Of an instance or a profile; in a list it may hold `*`. */
  readonly name?: string
}

export interface ScopeFlags {
  readonly remote?: string
  readonly project?: string
  /** Stands for the project of that user. */
  readonly user?: string
  /** Where scope and flag differ the scope counts, instead of an error. */
  readonly relax?: boolean
}

export type Kind = 'instance' | 'profile'

const limits = {
  remote: {
    pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    expected: 'letters, digits, dots, dashes and underscores'
  },
  project: {
    pattern: /^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/,
    expected: 'letters, digits, dots and dashes, the first no dot or dash'
  },
  instance: {
    pattern: /^[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/,
    expected: 'at most 63 letters, digits and dashes, the first a letter, the last no dash'
  },
  profile: {
    pattern: /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    expected: 'letters, digits, dots, dashes and underscores, the first no dot or dash'
  },
  user: {
    pattern: /^[A-Za-z](?:[A-Za-z0-9-]{0,46}[A-Za-z0-9])?$/,
    expected: 'at most 48 letters, digits and dashes, the first a letter, the last no dash'
  }
} as const

/** @returns the name @throws PluginError LAB_INVALID */
export function checkName(kind: keyof typeof limits, name: string): string {
  const { pattern, expected } = limits[kind]
  if (pattern.test(name)) return name
  throw new PluginError('LAB_INVALID', { field: kind, reason: `"${printable(name)}" is none: ${expected}` })
}

/**
 * Reads `name`, `project.name`, `remote:name`, `remote:project.name`, and without a name `project.`, `remote:` and
 * `remote:project.`. Of several dots the last parts project and name.
 * @param wild in a list, where the name may hold `*`
 * @throws PluginError LAB_INVALID
 */
export function parseScope(text: string, { kind = 'instance' as Kind, wild = false } = {}): Scope {
  const [, remote, rest = ''] = /^(?:([^:]*):)?(.*)$/s.exec(text)!
  const dot = rest.lastIndexOf('.')
  const [project, name] = dot < 0 ? [undefined, rest] : ([rest.slice(0, dot), rest.slice(dot + 1)] as const)
  if (text === '' || rest.includes(':'))
    throw new PluginError('LAB_INVALID', {
      field: 'scope',
      reason: `"${printable(text)}" is none: expected [remote:][project.]${kind}`
    })
  if (name !== '') checkName(kind, wild ? name.replaceAll('*', 'x') : name)
  return {
    ...(remote === undefined ? {} : { remote: checkName('remote', remote) }),
    ...(project === undefined ? {} : { project: checkName('project', project) }),
    ...(name === '' ? {} : { name })
  }
}

/** Of `[remote:]project`, where what follows the colon is a project whether or not a dot ends it. */
export function parseProject(text: string): Scope {
  const [, remote, rest = ''] = /^(?:([^:]*):)?(.*)$/s.exec(text)!
  const project = rest.replace(/\.$/, '')
  return {
    ...(remote === undefined ? {} : { remote: checkName('remote', remote) }),
    ...(project === '' && remote !== undefined ? {} : { project: checkName('project', project) })
  }
}

/** Of `remote` or `remote:`. */
export const parseRemote = (text: string): string => checkName('remote', text.replace(/:$/, ''))

/**
 * A scope and the flags that may stand for its parts.
 * @throws PluginError LAB_INVALID where they contradict each other
 */
export function withFlags(scope: Scope, flags: ScopeFlags, projectOfUser: (user: string) => string): Scope {
  const { remote, project, user, relax = false } = flags
  const ofUser = user === undefined ? undefined : projectOfUser(checkName('user', user))
  if (project !== undefined && ofUser !== undefined && project !== ofUser && !relax)
    throw conflict('--user', `project ${ofUser}`, '--project', project)
  const flagged = {
    remote: remote === undefined ? undefined : parseRemote(remote),
    project: project === undefined ? ofUser : checkName('project', project)
  }
  for (const part of ['remote', 'project'] as const) {
    const [said, flag] = [scope[part], flagged[part]]
    if (said !== undefined && flag !== undefined && said !== flag && !relax)
      throw conflict('scope', `${part} ${said}`, `--${part}`, flag)
  }
  const whole = { remote: scope.remote ?? flagged.remote, project: scope.project ?? flagged.project }
  return {
    ...(whole.remote === undefined ? {} : { remote: whole.remote }),
    ...(whole.project === undefined ? {} : { project: whole.project }),
    ...(scope.name === undefined ? {} : { name: scope.name })
  }
}

const conflict = (field: string, one: string, flag: string, other: string): PluginError =>
  new PluginError('LAB_INVALID', {
    field,
    reason: `it says ${one}, but ${flag} says ${printable(other)}; leave one of them out, or give --relax to have the scope count`
  })

/** Whether a name is one that `*` stands for. */
export function matches(pattern: string | undefined, name: string): boolean {
  if (pattern === undefined) return true
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`).test(name)
}

/** What somebody typed, with nothing that a terminal would obey. */
export const printable = (text: string): string =>
  text.slice(0, 200).replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
