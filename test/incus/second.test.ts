import t from 'tap'
import { eventually } from '../support/eventually.ts'
import { requireReal } from '../support/require-real.ts'
import { isOver, isRunning, logOf, refOf, statusOf, whenStatus } from '../slurm/slurm-plugin.ts'
import { incusPod, instancesOf, isWithoutImage, startIncusPlugin } from './incus-plugin.ts'
import { secondIncusMissing, startSecondIncus } from './second-incus.ts'

void t.test('Incus 7.0 runs pods as 6.0 does', async (t) => {
  if (!requireReal(t, secondIncusMissing())) return
  const lab = await startSecondIncus()
  t.teardown(() => lab.close())
  const { client } = await startIncusPlugin(t, lab, undefined, {
    profiles: ['default'],
    podProfiles: ['broken']
  })
  const none = async () => (await instancesOf(lab)).length === 0

  t.test('a pod runs, says what it has to say, ends with its exit code, and leaves nothing', async (t) => {
    const pod = incusPod('echo out; echo err >&2; exit 3')
    await client.create(pod)
    const { containers } = await whenStatus(client, pod, isOver)
    t.match(containers[0]!.state!.terminated, { exitCode: 3, reason: 'Error' })
    t.same((await logOf(client, pod)).trim().split('\n').sort(), ['err', 'out'])
    await eventually(none)
  })

  t.test('a pod that is deleted ends, and leaves nothing', async () => {
    const pod = incusPod('echo up; sleep 600')
    await client.create(pod)
    await whenStatus(client, pod, isRunning)
    await eventually(async () => (await logOf(client, pod)) === 'up\n')
    await client.delete(refOf(pod))
    await eventually(async () => (await statusOf(client, pod)) === undefined)
    await eventually(none)
  })

  t.test('what fails is told in the words of Incus, and no instance is left', async (t) => {
    const missing = incusPod('true', { container: { image: 'nowhere' } })
    await client.create(missing)
    const { containers } = await whenStatus(client, missing, isWithoutImage)
    t.match(containers[0]!.state!.waiting!.message, /^image nowhere: Image not provided/)
    await client.delete(refOf(missing))
    await eventually(async () => (await statusOf(client, missing)) === undefined)

    await lab.run('profile', 'create', 'broken')
    await lab.run(
      'profile',
      'device',
      'add',
      'broken',
      'gone',
      'unix-char',
      'source=/dev/gone',
      'path=/dev/gone'
    )
    const annotations = { 'interlink.io/incus-profiles': 'broken' }
    await t.rejects(client.create(incusPod('true', { annotations })), /\/dev\/gone|gone/)
    t.ok(await none())
  })
})
