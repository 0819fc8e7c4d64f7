import type { Command } from 'commander'
import { UsageError } from './errors.ts'

export type Shell = 'bash' | 'zsh' | 'fish'

/** A completion script made from the command tree itself, so that it can never fall behind. */
export function completion(program: Command, shell: Shell): string {
  const commands = program.commands.map((command) => ({
    name: command.name(),
    about: command.description(),
    flags: command.options.map((option) => option.long ?? option.short ?? ''),
    words: command.options.flatMap((option) => option.argChoices ?? [])
  }))
  switch (shell) {
    case 'bash':
      return bash(commands)
    case 'zsh':
      return `#compdef interlink\nautoload -U +X bashcompinit && bashcompinit\n${bash(commands)}`
    case 'fish':
      return fish(commands)
    default:
      throw new UsageError(`completion: no script for "${String(shell)}"; known are bash, zsh and fish`)
  }
}

interface Entry {
  readonly name: string
  readonly about: string
  readonly flags: readonly string[]
  readonly words: readonly string[]
}

const bash = (commands: readonly Entry[]): string =>
  `_interlink() {
  local cur=\${COMP_WORDS[COMP_CWORD]} words
  case \${COMP_WORDS[1]} in
${commands.map((c) => `    ${c.name}) words='${[...c.flags, ...c.words].join(' ')}' ;;`).join('\n')}
    *) words='' ;;
  esac
  [ "$COMP_CWORD" -gt 1 ] || words='${commands.map((c) => c.name).join(' ')}'
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [ "\${#COMPREPLY[@]}" -gt 0 ] || COMPREPLY=($(compgen -f -- "$cur"))
}
complete -o filenames -F _interlink interlink
`

const fish = (commands: readonly Entry[]): string =>
  commands
    .flatMap((c) => [
      `complete -c interlink -n __fish_use_subcommand -a ${c.name} -d '${c.about.replaceAll("'", '’')}'`,
      ...c.flags.map(
        (flag) =>
          `complete -c interlink -n '__fish_seen_subcommand_from ${c.name}' -l ${flag.replace(/^-+/, '')}`
      )
    ])
    .join('\n') + '\n'
