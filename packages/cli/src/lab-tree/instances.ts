import { Option, type Command } from 'commander'
import type * as Instance from '../commands/lab/instance.ts'
import { listing, run, scoped, seconds } from './verb.ts'

export function instances(lab: Command): void {
  const group = lab
    .command('instance')
    .alias('in')
    .alias('i')
    .description('Instances: containers and virtual machines')
  const verb = async <K extends keyof typeof Instance>(name: K) =>
    (await import('../commands/lab/instance.ts'))[name]

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
    .action(run(async () => (await import('../commands/lab/bash.ts')).instanceBash))
}
