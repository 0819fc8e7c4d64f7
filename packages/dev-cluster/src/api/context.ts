import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Access, User } from '../access.ts'
import type { Cluster } from '../cluster.ts'
import type { Pki } from '../pki.ts'
import type { Target } from './target.ts'

/** What the parts of the API share. */
export interface ApiContext {
  readonly cluster: Cluster
  readonly access: Access
  readonly pki: Pki
  /** Aborted when the cluster closes, so that no watch keeps it open. */
  readonly closing: AbortSignal
}

export type Query = Readonly<Record<string, string | undefined>>

export interface Call {
  readonly target: Target
  readonly user: User
  readonly query: Query
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

export const isTrue = (text: string | undefined): boolean => text === 'true' || text === '1'
