import type { Command } from 'commander'
import type * as Gpu from '../commands/lab/gpu.ts'
import type * as Profile from '../commands/lab/profile.ts'
import { listing, run, scoped } from './verb.ts'

export function gpus(lab: Command): void {
  const group = lab
    .command('gpu')
    .alias('gp')
    .alias('g')
    .description('Graphics cards: who has which, and who is to have one')
  const verb = async <K extends keyof typeof Gpu>(name: K) => (await import('../commands/lab/gpu.ts'))[name]
  const remote = (command: Command) => listing(command).argument('[remote]', 'default: all')

  remote(group.command('status'))
    .description('How many cards remotes have, and how many are free')
    .action(run(() => verb('gpuStatusVerb')))
  remote(group.command('list').alias('l'))
    .description('Instances that are to have a card')
    .action(run(() => verb('gpuList')))
  scoped(group.command('add'))
    .description('Have a stopped instance want one card more; which it gets is decided at its start')
    .argument('<name>', '[remote:][project.]instance')
    .option('--pci <address>', 'this one, if it is free at the start')
    .option(
      '--gpu-profile <name>',
      'by this profile; default: the first of its kind, else a device of its own'
    )
    .action(run(() => verb('gpuAdd')))
  scoped(group.command('remove'))
    .description('Have a stopped instance want one card less')
    .argument('<name>', '[remote:][project.]instance')
    .option('-a, --all', 'want none')
    .option('--pci <address>', 'this one')
    .action(run(() => verb('gpuRemove')))
  listing(group.command('profiles'))
    .description('Profiles that stand for a card')
    .argument('[scope]', 'remote, or remote:project')
    .action(run(() => verb('gpuProfiles')))
  remote(group.command('pci-addr').alias('pci_addr'))
    .description('PCI addresses of the cards')
    .action(run(() => verb('gpuPciAddr')))
}

export function profiles(lab: Command): void {
  const group = lab
    .command('profile')
    .alias('pr')
    .alias('p')
    .description('Profiles: what instances are made with')
  const verb = async <K extends keyof typeof Profile>(name: K) =>
    (await import('../commands/lab/profile.ts'))[name]
  const name = '[remote:][project.]profile'

  scoped(group.command('show'))
    .description('Print a profile as YAML')
    .argument('<name>', name)
    .action(run(() => verb('profileShow')))
  scoped(group.command('dump'))
    .description('Write profiles into files')
    .argument('[name]', `${name}, with --all also remote: and project.`)
    .option('-a, --all', 'every one of the remote and project')
    .option('-d, --dir <directory>', 'of the files', 'profiles')
    .action(run(() => verb('profileDump')))
  listing(group.command('list').alias('l'))
    .description('Profiles of all remotes and projects, or of those of a scope')
    .argument('[scope]', 'such as remote: or remote:project.')
    .option('-i, --inherited', 'also for projects that share those of default')
    .option('--recurse-instances', 'with the names of the instances that have them')
    .action(run(() => verb('profileList')))
  scoped(group.command('copy'))
    .description('Copy a profile to another remote, project or name')
    .argument('<from>', name)
    .argument('[to]', `${name}; default: the default project of its remote`)
    .action(run(() => verb('profileCopy')))
  scoped(group.command('init'))
    .description('Give a remote the usual profiles, and one for each of its cards')
    .argument('[remote]', 'default: the default remote')
    .option('-f, --profiles <names>', 'those alone, with commas')
    .option('--from <remote>', 'copied from there, where they are')
    .action(run(() => verb('profileInit')))
  scoped(group.command('delete').alias('del').alias('d'))
    .description('Delete a profile that no instance has')
    .argument('<name>', name)
    .action(run(() => verb('profileDelete')))
}
