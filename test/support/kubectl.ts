import { delimiter, dirname, join } from 'node:path'
import { existsSync } from 'node:fs'
import { spawnReaped } from './reaper.ts'
import { controlPlaneBinary } from '../kube/binary.ts'

export interface CommandResult {
  code: number
  stdout: string
  stderr: string
}

export interface KubectlOptions {
  /** Text for kubectl's standard input, as `apply -f -` reads it. */
  input?: string
}

export type Kubectl = (args: readonly string[], options?: KubectlOptions) => Promise<CommandResult>

/** What a kubectl prints, given an object to read. @throws where it fails, with what it said */
export const saidBy =
  (kubectl: Kubectl) =>
  async (args: readonly string[], input?: object): Promise<string> => {
    const { code, stdout, stderr } = await kubectl(args, input ? { input: JSON.stringify(input) } : {})
    if (code !== 0) throw new Error(stderr)
    return stdout
  }

/** Path of a real kubectl: the one built with the control plane, else the machine's own. */
export function kubectlPath(): string | undefined {
  const directories = [dirname(controlPlaneBinary()), ...(process.env.PATH ?? '').split(delimiter)]
  return directories.map((directory) => join(directory, 'kubectl')).find((path) => existsSync(path))
}

export const kubectlUnavailable = (): string | undefined =>
  kubectlPath() ? undefined : 'there is no kubectl: run test/kube/build.sh, which needs Go 1.25'

/** What a shell needs so that plain `kubectl` reaches the cluster and leaves no cache behind. */
export function kubectlEnv(kubeconfigPath: string, cacheDirectory: string): NodeJS.ProcessEnv {
  const path = kubectlPath()
  return {
    ...process.env,
    PATH: [path ? dirname(path) : '', process.env.PATH ?? ''].filter(Boolean).join(delimiter),
    KUBECONFIG: kubeconfigPath,
    KUBECACHEDIR: join(cacheDirectory, 'kubectl-cache')
  }
}

/** A kubectl bound to one cluster. It never throws for an exit code: tests look at it. */
export function kubectlFor(env: NodeJS.ProcessEnv): Kubectl {
  return (args, { input } = {}) =>
    new Promise((resolve, reject) => {
      const path = kubectlPath()
      if (!path) return reject(new Error(kubectlUnavailable()))
      const child = spawnReaped(path, args, { env, stdio: 'pipe' })
      const output = { stdout: '', stderr: '' }
      child.stdout!.setEncoding('utf8').on('data', (text: string) => (output.stdout += text))
      child.stderr!.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
      child.once('error', reject)
      child.once('close', (code) => resolve({ code: code ?? -1, ...output }))
      // A kubectl that refuses its arguments exits before it reads its input.
      child.stdin!.on('error', () => {})
      child.stdin!.end(input)
    })
}
