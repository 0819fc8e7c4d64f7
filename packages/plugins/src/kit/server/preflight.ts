import type { BackendContext, BackendModule } from '../backend.ts'

/**
 * Whether a backend could run any pod at all, before there is a plugin of it.
 * @throws Error that names the backend and says what to do
 */
export async function preflight(
  module: BackendModule,
  options: unknown,
  context: BackendContext
): Promise<void> {
  const backend = module.create(options, context)
  try {
    await backend.preflight?.()
  } catch (error) {
    throw new Error(`backend ${module.name}: ${(error as Error).message}`, { cause: error })
  } finally {
    await backend.close?.()
  }
}
