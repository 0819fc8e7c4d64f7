import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Where a program is, with the place that the tests put Apptainer in. */
export const onPath = (name: string): string | undefined =>
  `${process.env.PATH ?? ''}:/opt/apptainer/bin`
    .split(delimiter)
    .map((dir) => join(dir, name))
    .find((path) => existsSync(path))
