export const levels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const
