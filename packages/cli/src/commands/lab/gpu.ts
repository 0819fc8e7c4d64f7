import {
  addGpu,
  gpuStatus,
  listGpuProfiles,
  listGpuUses,
  parseProject,
  parseRemote,
  removeGpu
} from '@interlink-ts/plugins/lab'
import type { Lab, LabFlags } from './session.ts'

const remoteOf = (lab: Lab, text: string | undefined): string | undefined =>
  lab.flagged(text === undefined ? {} : { remote: parseRemote(text) }).remote

interface CardsFlags extends LabFlags {
  readonly extend?: boolean
}

export async function gpuStatusVerb(lab: Lab, { extend = false }: CardsFlags, text: string | undefined) {
  const { remotes, away } = await gpuStatus(lab.remotes, remoteOf(lab, text))
  if (extend && !lab.flags.json) showCards(lab, remotes)
  else
    lab.printTable(remotes, {
      REMOTE: ({ remote }) => remote,
      TOTAL: ({ total }) => total,
      ACTIVE: ({ active }) => active,
      AVAILABLE: ({ available }) => available
    })
  lab.away(away)
}

export async function gpuPciAddr(lab: Lab, _: LabFlags, text: string | undefined): Promise<void> {
  const { remotes, away } = await gpuStatus(lab.remotes, remoteOf(lab, text))
  showCards(lab, remotes)
  lab.away(away)
}

function showCards(lab: Lab, remotes: Awaited<ReturnType<typeof gpuStatus>>['remotes']): void {
  const cards = remotes.flatMap(({ remote, cards }) => cards.map((card) => ({ remote, ...card })))
  lab.printTable(cards, {
    REMOTE: ({ remote }) => remote,
    PCI: ({ pci }) => pci,
    MODEL: ({ model }) => model,
    'HELD BY': ({ holders }) => holders.join(','),
    PROFILES: ({ profiles }) => profiles.join(',')
  })
}

export async function gpuList(lab: Lab, _: LabFlags, text: string | undefined): Promise<void> {
  const { uses, away } = await listGpuUses(lab.remotes, remoteOf(lab, text))
  lab.printTable(uses, {
    REMOTE: ({ remote }) => remote,
    PROJECT: ({ project }) => project,
    INSTANCE: ({ instance }) => instance,
    STATUS: ({ status }) => status,
    GPUS: ({ wishes }) =>
      wishes.map(({ by, name, pci }) => (by === 'profile' ? name : (pci ?? name))).join(',')
  })
  lab.away(away)
}

export async function gpuProfiles(lab: Lab, _: LabFlags, text: string | undefined): Promise<void> {
  const scope =
    text === undefined
      ? {}
      : text.includes(':') || text.endsWith('.')
        ? parseProject(text)
        : { remote: parseRemote(text) }
  const { remote, project } = lab.flagged(scope)
  const { profiles, away } = await listGpuProfiles(lab.remotes, remote, project)
  lab.printTable(profiles, {
    REMOTE: ({ remote }) => remote,
    PROJECT: ({ project }) => project,
    PROFILE: ({ name }) => name,
    PCI: ({ pci }) => pci ?? 'any',
    CARD: ({ present }) => (present ? 'there' : 'missing')
  })
  lab.away(away)
}

type GpuChanged = Awaited<ReturnType<typeof addGpu>>

const words = ({ changed }: GpuChanged): string =>
  changed.map(({ by, name, pci }) => `${by} ${name}${pci === undefined ? '' : ` (${pci})`}`).join(', ')

export async function gpuAdd(
  lab: Lab,
  { pci, gpuProfile }: LabFlags & { readonly pci?: string; readonly gpuProfile?: string },
  name: string
): Promise<void> {
  const change = await addGpu(await lab.instance(name), {
    ...(pci === undefined ? {} : { pci }),
    ...(gpuProfile === undefined ? {} : { profile: gpuProfile })
  })
  lab.print(change, () => `${change.instance}: ${words(change)} added; the card is chosen at its start\n`)
}

export async function gpuRemove(
  lab: Lab,
  { all = false, pci }: LabFlags & { readonly all?: boolean; readonly pci?: string },
  name: string
): Promise<void> {
  const change = await removeGpu(await lab.instance(name), { all, ...(pci === undefined ? {} : { pci }) })
  lab.print(change, () => `${change.instance}: ${words(change) || 'nothing'} removed\n`)
}
