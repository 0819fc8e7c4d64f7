import t from 'tap'
import { clientOf, double, request, serve } from './helpers.ts'
import { answer, uidOf } from './plugin-double.ts'

const secret = (name: string) => ({ metadata: { name }, data: { '.dockerconfigjson': 'Y2FuYXJ5' } })

for (const [capabilities, sent] of [
  [['create.pullSecrets'], [secret('pull')]],
  [[], undefined]
] as const)
  t.test(
    `pull secrets go to a plugin that offers [${capabilities.join()}]: ${sent !== undefined}`,
    async (t) => {
      const plugin = await double(t, ({ path }, response) =>
        path === '/status'
          ? answer(response, { status: 'ok', capabilities })
          : answer(response, { PodUID: uidOf(1), PodJID: '1' })
      )
      const url = await serve(t, [plugin])
      const asked = request()
      const pod = { ...asked.pod, spec: { ...asked.pod.spec, imagePullSecrets: [{ name: 'pull' }] } }
      await clientOf(t, { url }).create({ ...asked, pod, secrets: [secret('pull'), secret('unnamed')] })
      const { body } = plugin.calls.find(({ path }) => path === '/create')!
      t.match((JSON.parse(body) as { imagePullSecrets?: unknown }).imagePullSecrets, sent)
      t.equal(body.includes('Y2FuYXJ5'), sent !== undefined)
      t.notMatch(body, /unnamed/)
    }
  )
