import { Option, type Command } from 'commander'
import type * as User from '../commands/lab/user.ts'
import { json, run, seconds } from './verb.ts'

export function users(lab: Command): void {
  const group = lab
    .command('user')
    .alias('us')
    .alias('u')
    .description('Users: certificates that remotes trust')
  const verb = async <K extends keyof typeof User>(name: K) => (await import('../commands/lab/user.ts'))[name]
  const on = (command: Command) =>
    json(command).option('--remotes <names>', 'with commas, or all; default: the default remote')
  const person = (command: Command) =>
    on(command)
      .option('-e, --email <address>')
      .option('-n, --name <name>', 'of the person')
      .option('-o, --org <name>', 'organisation')

  json(group.command('list').alias('l'))
    .description('Users of all remotes')
    .option('--remotes <name>', 'of this one alone')
    .option('-f, --full', 'with who they are')
    .addOption(new Option('-e, --extend').hideHelp())
    .action(run(() => verb('userList')))
  person(group.command('add').alias('a'))
    .description('Make a user: a certificate, a project, and what else is wished')
    .argument('<user>')
    .option('-c, --cert <file>', 'a certificate that the user has already')
    .option('-a, --admin', 'may use everything')
    .option('-p, --project <name>', 'one that is there, instead of one of the user’s own')
    .option('-k, --keys', 'an SSH key too')
    .option('-w, --wireguard', 'a VPN configuration too, by vpn of lab.yaml')
    .option('-i, --ip <address>', 'in the VPN; default: the next')
    .option('--hole', 'the lowest address that is free, not the one after the highest')
    .option('-s, --set-vpn', 'tell the hub of the VPN by SSH')
    .addHelpText(
      'after',
      '\nKeys are written for their owner alone, and never printed.\n\nExample:\n  interlink lab user add mario -e mario@example.org -w -k --remotes all'
    )
    .action(run(() => verb('userAdd')))
  on(group.command('grant'))
    .description('Have a user use a further project')
    .argument('<user>')
    .argument('<project>', '[remote:]project')
    .action(run(() => verb('userGrant')))
  on(group.command('revoke'))
    .description('Have a user use a project no more')
    .argument('<user>')
    .argument('<project>', '[remote:]project')
    .action(run(() => verb('userRevoke')))
  person(group.command('edit'))
    .description('Change who a user is')
    .argument('<user>')
    .action(run(() => verb('userEdit')))
  json(group.command('delete').alias('del').alias('d'))
    .description('Take a user from every remote, with its files')
    .argument('<user>')
    .option('-p, --purge', 'with its project and all in it')
    .option('-k, --keepfiles', 'keep its files here')
    .option('-n, --no-vpn', 'leave the hub of the VPN as it is')
    .action(run(() => verb('userDelete')))
}

export function vpn(lab: Command): void {
  const group = lab.command('vpn').alias('v').description('Routers of the lab, by SSH')
  const route = (command: Command) =>
    json(command)
      .description('Have a router send what is for a network by a gateway')
      .argument('<destination>', 'such as 10.1.0.0/16')
      .argument('[words...]', 'via GATEWAY type linux|mikrotik host ROUTER')
      .option('--via <address>', 'gateway')
      .option('--type <type>', 'linux or mikrotik')
      .option('--router <login>', '[user@]host[:port]; default: vpn.hub of lab.yaml')
      .option('-d, --dev <interface>')
      .option('-u, --login <account>', 'of the router')
      .option('-p, --port <port>', 'of its SSH', seconds)
      .option('--key-file <file>', 'private SSH key')
      .option('--known-hosts <file>', 'default: those of ssh')
      .option('--dry-run', 'print what it would be told')
      .addHelpText(
        'after',
        '\nExample:\n  interlink lab vpn add route 10.202.9.0/24 via 10.202.1.1 type mikrotik host admin@hub --dry-run'
      )
      .action(run(async () => (await import('../commands/lab/vpn.ts')).vpnAddRoute))
  route(group.command('route').description('Routes').command('add'))
  route(group.command('add').description('Add to a router').command('route'))
}
