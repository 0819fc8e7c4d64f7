import type { Command } from 'commander'
import { UsageError } from './errors.ts'

export type Shell = 'bash' | 'zsh' | 'fish'

/** A completion script made from the command tree itself, so that it can never fall behind. */
export function completion(program: Command, shell: Shell): string {
  const entries = entriesOf(program, [], [])
  switch (shell) {
    case 'bash':
      return bash(entries)
    case 'zsh':
      return `#compdef interlink\nautoload -U +X bashcompinit && bashcompinit\n${bash(entries)}`
    case 'fish':
      return fish(entries)
    default:
      throw new UsageError(`completion: no script for "${String(shell)}"; known are bash, zsh and fish`)
  }
}

/** A command at its place in the tree; the first is the program. */
interface Entry {
  readonly path: readonly string[]
  /** Of the last word of the path. */
  readonly aliases: readonly string[]
  readonly about: string
  readonly commands: readonly string[]
  readonly flags: readonly string[]
  /** What options take. */
  readonly choices: readonly string[]
}

function entriesOf(command: Command, path: readonly string[], aliases: readonly string[]): Entry[] {
  const own: Entry = {
    path,
    aliases,
    about: command.description(),
    commands: command.commands.map((one) => one.name()),
    flags: command.options.filter(({ hidden }) => !hidden).map(({ long, short }) => long ?? short ?? ''),
    choices: command.options.flatMap(({ argChoices }) => argChoices ?? [])
  }
  return [own, ...command.commands.flatMap((one) => entriesOf(one, [...path, one.name()], one.aliases()))]
}

/** Words before the cursor lead down the tree, whatever options stand between them. */
const bash = (entries: readonly Entry[]): string =>
  `_interlink() {
  local cur=\${COMP_WORDS[COMP_CWORD]} path= words= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
${entries
  .filter(({ path }) => path.length > 0)
  .map(({ path, aliases }) => {
    const before = path
      .slice(0, -1)
      .map((word) => ` ${word}`)
      .join('')
    const ways = [path.at(-1)!, ...aliases].map((word) => `'${before} ${word}'`).join(' | ')
    return `      ${ways}) path='${before} ${path.at(-1)!}' ;;`
  })
  .join('\n')}
    esac
  done
  case $path in
${entries
  .map(
    ({ path, commands, flags, choices }) =>
      `    '${path.map((word) => ` ${word}`).join('')}') words='${[...commands, ...(path.length === 0 ? [] : flags), ...choices].join(' ')}' ;;`
  )
  .join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [ "\${#COMPREPLY[@]}" -gt 0 ] || COMPREPLY=($(compgen -f -- "$cur"))
}
complete -o filenames -F _interlink interlink
`

const fish = (entries: readonly Entry[]): string =>
  entries
    .filter(({ path }) => path.length > 0)
    .flatMap(({ path, about, flags, commands }) => {
      const seen = (words: readonly string[]) =>
        words.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ')
      const before = path.slice(0, -1)
      const siblings = entries.find((one) => one.path.join(' ') === before.join(' '))!.commands.join(' ')
      const at =
        before.length === 0
          ? '__fish_use_subcommand'
          : `${seen(before)}; and not __fish_seen_subcommand_from ${siblings}`
      const name = path.at(-1)!
      return [
        `complete -c interlink -n '${at}' -a ${name} -d '${about.replaceAll("'", '’')}'`,
        ...(commands.length > 0 ? [] : flags).map(
          (flag) => `complete -c interlink -n '${seen(path)}' -l ${flag.replace(/^-+/, '')}`
        )
      ]
    })
    .join('\n') + '\n'
