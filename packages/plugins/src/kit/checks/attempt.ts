import type { Check } from '../backend.ts'

/** A check that is well unless `look` fails; what that says is its detail. */
export async function attempt(name: string, fix: string, look: () => Promise<string>): Promise<Check> {
  try {
    return { name, ok: true, detail: await look(), fix }
  } catch (error) {
    return { name, ok: false, detail: (error as Error).message, fix }
  }
}
