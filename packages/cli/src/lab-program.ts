import { InvalidArgumentError, Option, type Command } from 'commander'
import type * as Gpu from './commands/lab/gpu.ts'
import type * as Instance from './commands/lab/instance.ts'
import type * as Places from './commands/lab/places.ts'
import type * as Profile from './commands/lab/profile.ts'
import type { Lab, LabFlags } from './commands/lab/session.ts'

/** `interlink lab`: Incus servers as one lab, with the words of FIGO. */
export function addLab(program: Command): void {
  const lab = program
    .command('lab')
    .description('Instances, cards, profiles, users and projects of several Incus servers, as FIGO has them')
    .addHelpText(
      'after',
      `
Names are [remote:][project.]instance; remotes are those of the incus command of this account.

Examples:
  interlink lab instance list 'gpuserver:' --full
  interlink lab instance create gpuserver:figo-mario.train images:debian/12/cloud -m
  interlink lab instance start gpuserver:figo-mario.train
  interlink lab gpu status
  interlink lab user add mario --wireguard`
    )
  instances(lab)
  gpus(lab)
  profiles(lab)
  remotes(lab)
  projects(lab)
  operations(lab)
}

function instances(lab: Command): void {
  const group = lab
    .command('instance')
    .alias('in')
    .alias('i')
    .description('Instances: containers and virtual machines')
  const verb = async <K extends keyof typeof Instance>(name: K) =>
    (await import('./commands/lab/instance.ts'))[name]

  listing(group.command('list').alias('l'))
    .description('Instances of all remotes and projects, or of those of a scope')
    .argument('[scope]', 'such as remote:, project., remote:project.name*')
    .option('-f, --full', 'with addresses, cards and profiles')
    .action(run(() => verb('instanceList')))

  scoped(group.command('create').alias('c'))
    .description('Make an instance; it is not started')
    .argument('<name>', '[remote:][project.]instance')
    .argument('<image>', 'alias or fingerprint, or <remote>:<alias>')
    .addOption(
      new Option('-t, --type <type>', 'kind of instance')
        .choices(['vm', 'container', 'cnt'])
        .default('container')
    )
    .option(
      '-f, --profile <names>',
      'profiles beside default, with commas; default: compute-medium, if there is one'
    )
    .option('-m, --make-project', 'make the project where there is none')
    .option('-s, --static-ip', 'give it the next address of its network')
    .option('-i, --ip <address/bits>', 'give it this address')
    .option('-g, --gw <address>', 'gateway of its network')
    .option('-n, --nic <name>', 'card of the address', 'eth0')
    .option('-o, --hole', 'the lowest address that is free, not the one after the highest')
    .option('-k, --key <file>', 'public SSH key that cloud-init lets in')
    .option('-l, --login <account>', 'whom the key lets in', 'ubuntu')
    .option('--start', 'start it too')
    .addHelpText(
      'after',
      '\nExample:\n  interlink lab instance create blade3:figo-mario.one images:ubuntu/24.04/cloud -t vm -f compute-large -k ~/.ssh/id_ed25519.pub'
    )
    .action(run(() => verb('instanceCreate')))

  scoped(group.command('start'))
    .description('Start an instance, with cards that are free at this moment')
    .argument('<name>', '[remote:][project.]instance')
    .action(run(() => verb('instanceStart')))

  scoped(group.command('stop'))
    .description('Stop an instance, or with --all those of a scope')
    .argument('[name]', '[remote:][project.]instance, with --all also remote:, project. and *')
    .option('-a, --all', 'every one of the scope')
    .option('--force', 'end it at once')
    .option('--timeout <seconds>', 'for it to end by itself; it runs on after that', seconds, 60)
    .option('--yes', 'with --all and no scope: really all')
    .action(run(() => verb('instanceStop')))

  scoped(group.command('delete').alias('del').alias('d'))
    .description('Delete an instance and all its files')
    .argument('<name>', '[remote:][project.]instance')
    .option('-f, --force', 'one that runs too')
    .action(run(() => verb('instanceDelete')))

  scoped(group.command('ip'))
    .description('Print the addresses that an instance has')
    .argument('<name>', '[remote:][project.]instance')
    .option('--wait-for <seconds>', 'wait for one', seconds)
    .action(run(() => verb('instanceIp')))

  scoped(group.command('set-ip').alias('set_ip'))
    .description('Give a stopped instance an address')
    .argument('<name>', '[remote:][project.]instance')
    .option('-i, --ip <address/bits>', 'this one; default: the next of the network')
    .option('-g, --gw <address>', 'gateway of the network')
    .option('-n, --nic <name>', 'its card', 'eth0')
    .option('-o, --hole', 'the lowest that is free, not the one after the highest')
    .action(run(() => verb('instanceSetIp')))

  scoped(group.command('set-key').alias('set_key'))
    .description('Let an account of an instance in by a public SSH key')
    .argument('<name>', '[remote:][project.]instance')
    .argument('[file]', 'public key')
    .option('-l, --login <account>', 'whom', 'ubuntu')
    .action(run(() => verb('instanceSetKey')))

  scoped(group.command('keys').alias('show-keys').alias('show_keys'))
    .description('Show which public SSH keys let an account of an instance in')
    .argument('<name>', '[remote:][project.]instance')
    .option('-l, --login <account>', 'whose', 'ubuntu')
    .option('-k, --keys', 'whole keys')
    .action(run(() => verb('instanceKeys')))

  scoped(group.command('bash').alias('b'))
    .description('Open a shell in an instance, or run a command')
    .argument('<name>', '[remote:][project.]instance')
    .argument('[command...]', 'after --; default: bash, else sh')
    .option('-f, --force', 'start it where it is stopped')
    .option('-t, --timeout <seconds>', 'for the agent of a virtual machine', seconds, 30)
    .option('-a, --attempts <number>', 'to reach that agent', seconds, 3)
    .addHelpText('after', '\nExample:\n  interlink lab instance bash blade3:figo-mario.one -- nvidia-smi -L')
    .action(run(async () => (await import('./commands/lab/bash.ts')).instanceBash))
}

function gpus(lab: Command): void {
  const group = lab
    .command('gpu')
    .alias('gp')
    .alias('g')
    .description('Graphics cards: who has which, and who is to have one')
  const verb = async <K extends keyof typeof Gpu>(name: K) => (await import('./commands/lab/gpu.ts'))[name]
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

function profiles(lab: Command): void {
  const group = lab
    .command('profile')
    .alias('pr')
    .alias('p')
    .description('Profiles: what instances are made with')
  const verb = async <K extends keyof typeof Profile>(name: K) =>
    (await import('./commands/lab/profile.ts'))[name]
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

function remotes(lab: Command): void {
  const group = lab.command('remote').alias('re').alias('r').description('Remotes: the Incus servers')
  const verb = async <K extends keyof typeof Places>(name: K) =>
    (await import('./commands/lab/places.ts'))[name]

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

function projects(lab: Command): void {
  const group = lab.command('project').description('Projects: what users have for themselves')
  const verb = async <K extends keyof typeof Places>(name: K) =>
    (await import('./commands/lab/places.ts'))[name]
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

function operations(lab: Command): void {
  const group = lab.command('operation').alias('op').alias('o').description('Operations: what remotes do now')
  const verb = async <K extends keyof typeof Places>(name: K) =>
    (await import('./commands/lab/places.ts'))[name]
  listing(group.command('status').alias('progress'))
    .description('Operations that run, with how far they are')
    .argument('[scope]', 'remote: or remote:project.')
    .option('--follow', 'until there is none')
    .action(run(() => verb('operationStatus')))
}

const json = (command: Command): Command =>
  command
    .option('--json', 'print JSON')
    .option('--wait <seconds>', 'for one answer of a remote', seconds, 30)
    .addOption(new Option('--lab-dir <directory>', 'of lab.yaml and the files of users').env('INTERLINK_LAB'))

const scoped = (command: Command): Command =>
  json(command)
    .option('-r, --remote <name>', 'where the scope names none')
    .option('-p, --project <name>', 'where the scope names none')
    .option('-u, --user <name>', 'the project of that user')
    .option('-x, --relax', 'where scope and options differ, the scope counts')

/** Columns are as wide as what they hold: FIGO's words for that are taken, and change nothing. */
const listing = (command: Command): Command =>
  scoped(command)
    .option('-e, --extend', 'more columns, where there are any')
    .addOption(new Option('-j, --join').hideHelp())

type Verb<A extends unknown[], F extends LabFlags> = (lab: Lab, flags: F, ...args: A) => Promise<void>

/** Arguments and options as commander gives them: the arguments, then the options, then the command itself. */
const run =
  <A extends unknown[], F extends LabFlags>(load: () => Promise<Verb<A, F>>) =>
  async (...given: unknown[]): Promise<void> => {
    const [{ withLab }, verb] = await Promise.all([import('./commands/lab/session.ts'), load()])
    const args = given.slice(0, -2) as A
    await withLab(given.at(-2) as F, verb, ...args)
  }

function seconds(text: string): number {
  if (!/^\d{1,6}$/.test(text) || text === '0')
    throw new InvalidArgumentError('Expected a whole number above zero.')
  return Number(text)
}

const several = (text: string, before: readonly string[] = []): readonly string[] => [...before, text]
