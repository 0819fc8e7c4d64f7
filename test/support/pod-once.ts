import type { Pod } from '@interlink-ts/interlink-api/wire'
import { eventually } from './eventually.ts'
import { startKubectl } from './kubectl-process.ts'

/** Of a list: `get pod NAME --watch` passes over a change that comes between its look and its watch. */
const watchArgs = (name: string) => [
  ...['get', 'pods', `--field-selector=metadata.name=${name}`, '--watch', '--output=json']
]

/**
 * The first state of a pod from now on that is as wanted, as `kubectl get --watch` shows it: none passes unseen, however
 * short it is and however slow the machine. There may be no such pod yet.
 */
export async function podOnce(
  env: NodeJS.ProcessEnv,
  name: string,
  isWanted: (pod: Pod) => unknown,
  deadlineMs = 180_000
): Promise<Pod> {
  const pods: Pod[] = []
  let stop = () => {}
  let rest = ''
  const watch = () => {
    const { child } = startKubectl(env, watchArgs(name), undefined, { reads: false })
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      const objects = (rest + text).split(/(?<=^\}\n)/m)
      rest = objects.at(-1)!.endsWith('\n}\n') ? '' : objects.pop()!
      pods.push(...objects.map((object) => JSON.parse(object) as Pod))
    })
    // As it does when an API server closes the watch.
    const again = () => {
      rest = ''
      const wait = setTimeout(watch, 200)
      stop = () => clearTimeout(wait)
    }
    child.once('close', again)
    stop = () => {
      child.off('close', again)
      child.kill()
    }
  }
  watch()
  try {
    return await eventually(() => pods.find(isWanted), { deadlineMs })
  } catch (cause) {
    throw new Error(`${name} is not as it should be: ${JSON.stringify(pods.at(-1)?.status)}`, { cause })
  } finally {
    stop()
  }
}
