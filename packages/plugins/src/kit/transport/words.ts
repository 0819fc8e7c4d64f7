/** What a program has said on standard error, without the names of programs in front. */
export const wordsOf = (stderr: string): string =>
  stderr
    .split('\n')
    .map((line) => line.replace(/^(\w+: )?(error: |fatal: )/i, '').trim())
    .filter((line) => line !== '' && !line.startsWith('Try "'))
    .join('; ')
    .slice(0, 2000)
