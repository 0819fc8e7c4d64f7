import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

export interface Guide {
  /** The commands below a heading, as one script. */
  commands(heading: string): string
  /** The files that the guide tells to write, by their path below the home directory. */
  readonly files: ReadonlyMap<string, string>
}

/** What a guide tells its reader to type and to write. */
export async function readGuide(name: string): Promise<Guide> {
  const text = await readFile(`${root}/docs/guides/${name}.md`, 'utf8')
  return {
    commands(heading) {
      const section = text.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`))
      const blocks = [...(section ?? '').matchAll(/^```sh\n(.*?)^```/gms)].map(([, block]) => block!)
      if (blocks.length === 0) throw new Error(`${name}: there are no commands below "${heading}"`)
      return blocks.join('')
    },
    files: new Map(
      [...text.matchAll(/^`~\/([^`]+)`:\n\n```yaml\n(.*?)^```/gms)].map(([, path, body]) => [path!, body!])
    )
  }
}
