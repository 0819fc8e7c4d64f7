import { Option, type Command } from 'commander'
import type * as Places from '../commands/lab/places.ts'
import { json, listing, run, scoped, several } from './verb.ts'

export function remotes(lab: Command): void {
  const group = lab.command('remote').alias('re').alias('r').description('Remotes: the Incus servers')
  const verb = async <K extends keyof typeof Places>(name: K) =>
    (await import('../commands/lab/places.ts'))[name]

  json(group.command('list').alias('l'))
    .description('Remotes that have instances')
    .option('-f, --full', 'with whether each is there, and its version')
    .addOption(new Option('-e, --extend').hideHelp())
    .action(run(() => verb('remoteList')))
  json(group.command('enroll'))
    .description('Make an Incus server a remote, by a token of its owner')
    .argument('<name>', 'by which it is called from now on')
    .argument('[address]', 'host or host:port; default: those of the token')
    .argument('[port]', 'default: 8443')
    .option(
      '--token-file <file>',
      'what `incus config trust add NAME` printed there; default: standard input'
    )
    .option('--fingerprint <sha256>', 'of the server, where it trusts this client already')
    .option('--default-project <name>', 'where no scope names one')
    .addHelpText(
      'after',
      '\nA token is a secret: it is read from a file or standard input, never from an argument.\n\nExample:\n  ssh admin@blade3 incus config trust add main -q | interlink lab remote enroll blade3 blade3.example.org'
    )
    .action(run(() => verb('remoteEnroll')))
  json(group.command('delete').alias('del').alias('d'))
    .description('Forget a remote')
    .argument('<name>')
    .option('--revoke', 'have it forget this client too')
    .action(run(() => verb('remoteDelete')))
}

export function projects(lab: Command): void {
  const group = lab.command('project').description('Projects: what users have for themselves')
  const verb = async <K extends keyof typeof Places>(name: K) =>
    (await import('../commands/lab/places.ts'))[name]
  const scope = '[remote:]project'

  listing(group.command('list').alias('l'))
    .description('Projects of all remotes')
    .argument('[scope]', 'remote: or remote:project')
    .action(run(() => verb('projectList')))
  scoped(group.command('create').alias('c'))
    .description('Make a project; it shares the profiles and images of default')
    .argument('[scope]', scope)
    .option('--restricted', 'with a default profile of its own, and nothing that Incus holds dangerous')
    .option('--limit <key=value>', 'such as instances=4; repeat for more', several)
    .option('--description <text>')
    .action(run(() => verb('projectCreate')))
  scoped(group.command('delete').alias('del').alias('d'))
    .description('Delete a project')
    .argument('[scope]', scope)
    .option('-f, --force', 'with everything in it')
    .action(run(() => verb('projectDelete')))
}

export function operations(lab: Command): void {
  const group = lab.command('operation').alias('op').alias('o').description('Operations: what remotes do now')
  const verb = async <K extends keyof typeof Places>(name: K) =>
    (await import('../commands/lab/places.ts'))[name]
  listing(group.command('status').alias('progress'))
    .description('Operations that run, with how far they are')
    .argument('[scope]', 'remote: or remote:project.')
    .option('--follow', 'until there is none')
    .action(run(() => verb('operationStatus')))
}
