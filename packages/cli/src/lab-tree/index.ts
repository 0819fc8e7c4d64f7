import type { Command } from 'commander'
import { gpus, profiles } from './cards.ts'
import { instances } from './instances.ts'
import { users, vpn } from './people.ts'
import { operations, projects, remotes } from './places.ts'

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
  users(lab)
  vpn(lab)
}
