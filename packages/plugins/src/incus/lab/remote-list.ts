import type { Remotes } from './remotes.ts'
import { PluginError } from '../../errors.ts'

export interface LabRemote {
  readonly name: string
  readonly address: string
  readonly project: string
  readonly isDefault: boolean
  /** Of the pinned certificate of the server. */
  readonly fingerprint?: string
  /** Only where it was asked. */
  readonly state?: 'up' | 'untrusted' | 'away'
  readonly version?: string
  readonly reason?: string
}

/** @param full with whether each is there, for which it is asked */
export async function listRemotes(remotes: Remotes, { full = false } = {}): Promise<readonly LabRemote[]> {
  const { configuration } = remotes
  return Promise.all(
    remotes.entries().map(async ({ name, address, project }) => {
      const fingerprint = await configuration.pinned(name)
      return {
        name,
        address,
        project,
        isDefault: name === configuration.defaultRemote,
        ...(fingerprint === undefined ? {} : { fingerprint }),
        ...(full ? await health(remotes, name) : {})
      }
    })
  )
}

async function health(
  remotes: Remotes,
  name: string
): Promise<Pick<LabRemote, 'state' | 'version' | 'reason'>> {
  try {
    const server = await remotes.connect(name)
    const { auth, environment } = await server.get<{
      auth: string
      environment?: { server_version?: string }
    }>('/1.0')
    return { state: auth === 'trusted' ? 'up' : 'untrusted', version: environment?.server_version ?? '' }
  } catch (error) {
    return { state: 'away', reason: (error as Error).message }
  }
}

/**
 * Forgets a remote.
 * @param revoke has it forget this client too
 * @throws PluginError LAB_STATE for the one that is used where none is named
 */
export async function deleteRemote(remotes: Remotes, name: string, { revoke = false } = {}): Promise<void> {
  const { configuration } = remotes
  const { address } = configuration.remote(name)
  if (name === configuration.defaultRemote || address === 'unix://')
    throw new PluginError('LAB_STATE', {
      name: `remote ${name}`,
      state: address === 'unix://' ? 'is this machine' : 'is the default',
      fix: address === 'unix://' ? 'it stays' : 'choose another by: incus remote switch NAME'
    })
  if (revoke) {
    const server = await remotes.connect(name)
    const own = await configuration.fingerprint()
    await server.change('DELETE', `/1.0/certificates/${own}`)
  }
  await configuration.remove(name)
}
