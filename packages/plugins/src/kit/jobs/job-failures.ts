import { PluginError } from '../../errors.ts'

/** A disk that takes nothing more is no fault of the pod's. */
export function cannotWrite(error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EROFS' || code === 'EACCES'
    ? new PluginError('PLUGIN_NO_SPACE', { reason: message }, error)
    : error
}

/** What a backend threw, as an error that may be tried again. */
export const backendFailed = (backend: string, action: string, error: unknown): unknown =>
  error instanceof PluginError
    ? error
    : new PluginError('PLUGIN_BACKEND_FAILED', { backend, action, reason: (error as Error).message }, error)
