import { Command, InvalidArgumentError, Option } from 'commander'
import { readFileSync } from 'node:fs'
import { levels } from './log-levels.ts'
import { completion, type Shell } from './completion.ts'
import { addLab } from './lab-tree/index.ts'

export const version = (
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
).version

const backendHelp = 'process, slurm, incus, htcondor, or the path of a module of your own'

/** The command tree. Each command loads its own code only when it runs, so that `--help` stays quick. */
export function buildProgram(): Command {
  const program = new Command('interlink')
    .description('A Kubernetes node that is not a machine: pods run as processes, batch jobs or instances.')
    .version(version, '-V, --version')
    .showHelpAfterError('(run with --help for usage)')
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .addHelpText(
      'after',
      `
Examples:
  interlink up                                   try it: a cluster, a node and a pod, all in this terminal
  interlink up --kubeconfig ~/.kube/config       the same node on a cluster of yours
  interlink vk --config vk.yaml                  the virtual node as a service
  interlink api --config api.yaml                the API server as a service
  interlink plugin process --config plugin.yaml  a backend as a service
  interlink render pod.yaml                      what a pod would become, without running it
  interlink lab instance list                    Incus servers as one lab`
    )

  service(program.command('up'))
    .description('Run all roles in one process, apply an example pod and follow it to its end')
    .option('--kubeconfig <file>', 'join this cluster; default: an in-memory one')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--node <name>', 'name of the virtual node', 'interlink')
    .option('--backend <name>', backendHelp, 'process')
    .option('--config <file>', 'configuration of the plugin')
    .option(
      '--ssh <login>',
      'with --backend slurm: user@host[:port] of a login node, or a host of ~/.ssh/config'
    )
    .option('--lab', 'with --backend slurm, htcondor or incus: a private one of this machine’s packages')
    .option(
      '--slurm <prefix>',
      'with --lab: of the Slurm that was installed there, as by ./configure --prefix'
    )
    .option('--htcondor <prefix>', 'with --lab: of the HTCondor that was installed there, its RELEASE_DIR')
    .option('--pod <file>', 'pod to apply instead of the example')
    .option('--no-pod', 'apply no pod')
    .option('--page-port <port>', 'port of the page; 0: any that is free', portNumber, 0)
    .option(
      '--dir <directory>',
      'where jobs, sockets and the kubeconfig live; default: a new temporary directory'
    )
    .option('--exit', 'end after the pod has ended, with status 0 if it succeeded')
    .addHelpText(
      'after',
      `
Ctrl-C ends the pods and cleans up; a second Ctrl-C ends at once.

Examples:
  interlink up --exit --pod examples/rich.yaml
  interlink up --kubeconfig ~/.kube/config --node my-edge
  interlink up --backend slurm --lab
  interlink up --backend slurm --ssh me@login.hpc.example.org --kubeconfig ~/.kube/config`
    )
    .action(async (options) => (await import('./commands/up.ts')).up(options))

  service(program.command('vk'))
    .description('Run the virtual node')
    .option('--config <file>', 'configuration, ours or the reference’s (or CONFIGPATH)')
    .option('--kubeconfig <file>', 'kubeconfig (or KUBECONFIG); default: in-cluster')
    .option('--context <name>', 'context of the kubeconfig')
    .option('--node <name>', 'name of the node (or NODENAME)')
    .addHelpText(
      'after',
      '\nExamples:\n  interlink vk --config vk.yaml\n  NODENAME=edge interlink vk --kubeconfig ~/.kube/config'
    )
    .action(async (options) => (await import('./commands/vk.ts')).vk(options))

  service(program.command('api'))
    .description('Run the stateless API server')
    .option('--config <file>', 'configuration, ours or the reference’s (or INTERLINKCONFIGPATH)')
    .option('--insecure', 'listen on a public address without authentication')
    .addHelpText('after', '\nExample:\n  interlink api --config api.yaml --log-level debug')
    .action(async (options) => (await import('./commands/api.ts')).api(options))

  service(program.command('plugin'))
    .description('Run a backend')
    .argument('<backend>', backendHelp)
    .option('--config <file>', 'configuration of the plugin')
    .option('--root <directory>', 'root of the job directories')
    .option('--listen <url>', 'http://127.0.0.1:PORT or unix:///path')
    .addHelpText(
      'after',
      '\nExamples:\n  interlink plugin process --config plugin.yaml\n  interlink plugin process --root ~/jobs --listen unix:///tmp/plugin.sock'
    )
    .action(async (backend, options) => (await import('./commands/plugin.ts')).plugin(backend, options))

  program
    .command('render')
    .description('Show the plan and the scripts a pod would become, without running it')
    .argument(
      '<file>',
      'YAML with a Pod (or Job, Deployment …) and the ConfigMaps and Secrets it uses; - for stdin'
    )
    .option('--backend <name>', backendHelp, 'process')
    .option('--config <file>', 'configuration of the plugin')
    .option('--node <name>', 'name of the node the pod would be on', 'interlink')
    .option('--show-values', 'show environment values and file contents, secrets too')
    .addOption(new Option('-o, --output <format>', 'what to print').choices(['text', 'json']).default('text'))
    .addHelpText('after', '\nExample:\n  interlink render examples/rich.yaml --backend process')
    .action(async (file, options) => (await import('./commands/render.ts')).render(file, options))

  program
    .command('doctor')
    .description('Check what a role needs on this machine, and say how to mend it')
    .argument('[role]', 'up, vk, api, plugin, slurm, incus or htcondor; default: all but the last three')
    .option('--kubeconfig <file>', 'kubeconfig to check (or KUBECONFIG)')
    .option('--config <file>', 'configuration of the role')
    .option('--backend <name>', `of up and plugin: ${backendHelp}`, 'process')
    .addHelpText(
      'after',
      '\nExamples:\n  interlink doctor\n  interlink doctor plugin --backend ./backend.js\n  interlink doctor api --config api.yaml'
    )
    .action(async (role, options) => (await import('./commands/doctor.ts')).doctor(role, options))

  addLab(program)

  program
    .command('completion')
    .description('Print a completion script')
    .argument('<shell>', 'bash, zsh or fish')
    .addHelpText('after', '\nExample:\n  source <(interlink completion bash)')
    .action((shell: Shell) => void process.stdout.write(completion(program, shell)))

  program
    .command('version')
    .description('Print the version')
    .addHelpText('after', '\nExample:\n  interlink version')
    .action(() => void process.stdout.write(`interlink ${version} (node ${process.version})\n`))

  return program
}

const service = (command: Command): Command =>
  command
    .addOption(new Option('--log-level <level>', 'least level that is logged').choices([...levels]))
    .addOption(
      new Option('--log-format <format>', 'default: pretty on a terminal, else json').choices([
        'json',
        'pretty'
      ])
    )

function portNumber(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Infinity
  if (port > 65535) throw new InvalidArgumentError('Expected a number from 0 to 65535.')
  return port
}
