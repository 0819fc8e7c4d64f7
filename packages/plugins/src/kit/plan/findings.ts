import type { Notice, Refusal } from './plan.ts'

/** Collects what a compilation has to say; a notice of one kind is said once, with every field it concerns. */
export class Findings {
  readonly refusals: Refusal[] = []
  readonly #notices = new Map<string, { message: string; fields: Set<string> }>()

  refuse(field: string, message: string): void {
    this.refusals.push({ field, message })
  }

  notice(reason: string, message: string, field: string): void {
    const known = this.#notices.get(reason)
    if (known) known.fields.add(field)
    else this.#notices.set(reason, { message, fields: new Set([field]) })
  }

  notices(): Notice[] {
    return [...this.#notices].map(([reason, { message, fields }]) => ({
      reason,
      message: `${[...fields].join(', ')}: ${message}`
    }))
  }
}

/** The refusals as one text for an error or an event: `FIELD: MESSAGE`, joined by `; `. */
export function explainRefusals(refusals: readonly Refusal[]): string {
  return refusals.map(({ field, message }) => `${field}: ${message}`).join('; ')
}
