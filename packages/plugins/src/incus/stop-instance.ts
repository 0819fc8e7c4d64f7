import { IncusError, type IncusConnection } from './rest/index.ts'

/** For the system of a virtual machine to shut down, seconds. */
const patience = 30

/**
 * Whatever runs in it. A virtual machine is asked by ACPI first: what its programs have written to directories of the
 * server is written out.
 * @throws IncusError also where it has stopped already
 */
export async function stopInstance(
  incus: IncusConnection,
  { name, type }: { readonly name: string; readonly type: string }
): Promise<void> {
  const stop = (how: object) =>
    incus.change('PUT', `/1.0/instances/${name}/state`, { json: { action: 'stop', ...how } })
  if (type === 'virtual-machine')
    try {
      await stop({ force: false, timeout: patience })
      return
    } catch (error) {
      if (!(error instanceof IncusError)) throw error
    }
  await stop({ force: true })
}
