import type { Case } from '../run-cases.ts'
import { basics } from './basics.ts'
import { endings } from './endings.ts'
import { environment } from './environment.ts'
import { files } from './files.ts'
import { logs } from './logs.ts'
import { ordering } from './ordering.ts'
import { probes } from './probes.ts'
import { protocol } from './protocol.ts'
import { refusals } from './refusals.ts'
import { streams } from './streams.ts'

export const cases: readonly Case[] = [
  ...basics,
  ...environment,
  ...files,
  ...ordering,
  ...probes,
  ...endings,
  ...logs,
  ...refusals,
  ...protocol,
  ...streams
]
