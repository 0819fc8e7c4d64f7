import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { IncusError, type IncusConnection } from './rest/index.ts'

const Server = Type.Object({ environment: Type.Object({ driver: Type.String() }) })
const Warnings = Type.Array(
  Type.Object({ type: Type.String(), status: Type.String(), last_message: Type.String() })
)

/**
 * Why a server runs no virtual machines, in its own words; undefined where it does. Incus looks at its start alone at
 * what it can run: `environment.driver` of `/1.0` is such as `lxc | qemu`, and a warning says what is missing.
 */
export async function whyNoMachines(incus: IncusConnection): Promise<string | undefined> {
  const server = await incus.facts()
  // Who is not trusted is told nothing of this; it is refused elsewhere.
  if (!Value.Check(Server, server) || server.environment.driver.split(' | ').includes('qemu'))
    return undefined
  // Those of the server are of no project.
  const warnings = await incus
    .get<unknown>('/1.0/warnings', { recursion: 1, 'all-projects': true })
    .catch((error: unknown) => {
      // A client of one project need not see them.
      if (error instanceof IncusError) return []
      throw error
    })
  const said = Value.Check(Warnings, warnings)
    ? warnings.find(({ type, status }) => type === 'Instance type not operational' && status !== 'resolved')
    : undefined
  return said?.last_message ?? `its drivers are ${server.environment.driver} alone`
}
