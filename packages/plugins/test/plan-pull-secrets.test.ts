import t from 'tap'
import { compile } from '../src/kit/plan/compile.ts'
import { redactPlan } from '../src/kit/plan/redact.ts'
import { credentialFor, dockerConfig, registryOf } from '../src/kit/runtimes/credentials.ts'
import { base64, podData, policyOf } from './support-plan.ts'

const auth = base64('me:canary')
const secret = (name: string, data: Record<string, string>) => ({ metadata: { name }, data })
const config = (auths: object) => base64(JSON.stringify({ auths }))
const names = ['json', 'old', 'odd', 'gone']
const sent = [
  secret('json', {
    '.dockerconfigjson': config({ 'reg.org': { auth }, 'two.org': { username: 'me', password: 'canary' } })
  }),
  secret('old', { '.dockercfg': base64(JSON.stringify({ 'https://index.docker.io/v1/': { auth } })) }),
  secret('odd', { '.dockerconfigjson': base64('{"auths": canary') })
]

function compiled(pullSecrets: boolean) {
  const spec = { imagePullSecrets: names.map((name) => ({ name })) }
  const policy = policyOf()
  const result = compile(
    { ...podData({ spec }), imagePullSecrets: sent },
    { ...policy, backend: { ...policy.backend, pullSecrets } }
  )
  if ('refusals' in result) throw new Error(JSON.stringify(result.refusals))
  return result.plan
}

t.test('credentials are read from both types of secret, and no message shows any', async (t) => {
  const plan = compiled(true)
  t.same(plan.credentials, [
    { match: 'reg.org', auth },
    { match: 'two.org', auth },
    { match: 'https://index.docker.io/v1/', auth }
  ])
  t.match(plan.notices, [{ reason: 'FailedToRetrieveImagePullSecret', message: /odd holds no/ }])
  t.notMatch(JSON.stringify([plan.notices, redactPlan(plan)]), new RegExp(`canary|${auth}`))
})

t.test('a backend that does not use them says so', async (t) => {
  const plan = compiled(false)
  t.equal(plan.credentials, undefined)
  t.match(plan.notices, [{ reason: 'PullSecretsNotUsed' }])
})

t.test('an image finds its credential as with a kubelet', async (t) => {
  const of = (image: string, ...matches: string[]) =>
    credentialFor(
      image,
      matches.map((match) => ({ match, auth: match }))
    )?.auth
  for (const [image, fits, not] of [
    ['docker://reg.org/a/b:1', 'reg.org', 'reg.org:5000'],
    ['docker://reg.org:5000/a', 'https://reg.org:5000/v2/', 'reg.org'],
    ['oras://x.reg.org/a/b', '*.reg.org', 'reg.org'],
    ['docker://python:3.12', 'https://index.docker.io/v1/', 'reg.org'],
    ['docker://me/tool', 'docker.io', 'me'],
    ['docker://reg.org/team/x@sha256:00', 'reg.org/team', 'reg.org/other']
  ] as const) {
    t.equal(of(image, fits), fits, image)
    t.equal(of(image, not), undefined, `${image}, not ${not}`)
  }
  t.equal(of('docker://reg.org/team/x', 'reg.org', 'reg.org/team'), 'reg.org/team', 'the longest path')
  t.same(registryOf('docker://127.0.0.1:5000/a/b:1'), { host: '127.0.0.1:5000', repository: 'a/b' })
  t.match(JSON.parse(dockerConfig({ host: 'index.docker.io', auth })), {
    auths: { 'https://index.docker.io/v1/': { auth } }
  })
})
