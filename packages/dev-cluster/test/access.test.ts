import { generateKeyPairSync } from 'node:crypto'
import { request } from 'node:https'
import * as x509 from '@peculiar/x509'
import t from 'tap'
import { collect, devCluster, pod, podsPath, until, type Loose } from './support.ts'

const accounts = '/api/v1/namespaces/default/serviceaccounts'
const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/default'
const reviews = '/apis/authentication.k8s.io/v1/tokenreviews'

void t.test('without a good token nothing is served', async (t) => {
  const { api } = await devCluster(t)
  for (const authorization of ['', 'Bearer wrong', 'Basic eA=='])
    t.match(await api('GET', podsPath, undefined, { authorization }), {
      status: 401,
      body: { kind: 'Status', reason: 'Unauthorized' }
    })
})

void t.test('a token is good for its audience, its pod and its account, and no longer', async (t) => {
  const { api } = await devCluster(t, { scheduler: false })
  const { body: made } = await api('POST', podsPath, pod('p'))
  const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name: 'p', uid: made.metadata!.uid }
  const ask = (spec: object) => api('POST', `${accounts}/default/token`, { spec })
  t.match(await ask({ expirationSeconds: 60 }), { status: 422, body: { message: /less than 10 minutes/ } })
  t.match(await ask({ boundObjectRef: { ...boundObjectRef, uid: 'other' } }), { status: 409 })
  const { body } = await ask({ audiences: ['vault'], boundObjectRef, expirationSeconds: 3607 })
  const token = String(body.status!.token)
  const left = Date.parse(String(body.status!.expirationTimestamp)) - Date.now()
  t.ok(left > 3_500_000 && left <= 3_607_000)
  const review = async (audiences?: string[]) =>
    (await api('POST', reviews, { spec: { token, ...(audiences ? { audiences } : {}) } })).body.status!
  t.match(await review(['vault', 'other']), {
    authenticated: true,
    user: {
      username: 'system:serviceaccount:default:default',
      groups: ['system:serviceaccounts', 'system:serviceaccounts:default', 'system:authenticated'],
      extra: { 'authentication.kubernetes.io/pod-name': ['p'] }
    }
  })
  t.match(await review(), { authenticated: false }, 'not for the API itself')
  await api('DELETE', `${podsPath}/p`)
  t.match(await review(['vault']), { authenticated: false }, 'its pod is gone')
})

void t.test('an account may do what RBAC allows it, and nothing else', async (t) => {
  const { api } = await devCluster(t, { scheduler: false })
  await api('POST', accounts, { metadata: { name: 'reader' } })
  const { body } = await api('POST', `${accounts}/reader/token`, { spec: {} })
  const as = { authorization: `Bearer ${String(body.status!.token)}` }
  t.match(await api('GET', podsPath, undefined, as), {
    status: 403,
    body: {
      message:
        'pods is forbidden: User "system:serviceaccount:default:reader" cannot list resource "pods" in API group "" in the namespace "default"'
    }
  })
  const rules = [{ apiGroups: [''], resources: ['pods', 'pods/log'], verbs: ['get', 'list'] }]
  await api('POST', `${rbac}/roles`, { metadata: { name: 'reader' }, rules })
  await api('POST', `${rbac}/rolebindings`, {
    metadata: { name: 'reader' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'reader' },
    subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace: 'default' }]
  })
  t.match(await api('GET', podsPath, undefined, as), { status: 200 })
  t.match(await api('POST', podsPath, pod('a'), as), { status: 403 })
  t.match(await api('GET', '/api/v1/pods', undefined, as), { status: 403 }, 'other namespaces')
  t.match(await api('POST', reviews, { spec: { token: 'x' } }, as), { status: 403 }, 'reviews of others')
  const may = async (headers: Record<string, string>, kind: string, spec: object) =>
    (await api('POST', `/apis/authorization.k8s.io/v1/${kind}`, { spec }, headers)).body.status!.allowed
  const own = {
    resourceAttributes: { namespace: 'default', verb: 'get', resource: 'pods', subresource: 'log' }
  }
  t.equal(await may(as, 'selfsubjectaccessreviews', own), true)
  const asked = { ...own, user: 'system:serviceaccount:default:reader' }
  t.equal(await may({}, 'subjectaccessreviews', asked), true)
  const other = { resourceAttributes: { ...own.resourceAttributes, verb: 'delete' } }
  t.equal(await may({}, 'subjectaccessreviews', { ...asked, ...other }), false)
})

void t.test('a node asks for certificates, is signed them, and is known by them', async (t) => {
  const { api, ca, cluster } = await devCluster(t)
  const crypto = globalThis.crypto
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const signed = async (name: string, signerName: string, usage: string) => {
    const csr = await x509.Pkcs10CertificateRequestGenerator.create({
      name: 'O=system:nodes, CN=system:node:n1',
      keys,
      signingAlgorithm: algorithm,
      extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])]
    })
    const path = '/apis/certificates.k8s.io/v1/certificatesigningrequests'
    const spec = { request: Buffer.from(csr.toString('pem')).toString('base64'), signerName, usages: [usage] }
    t.match(await api('POST', path, { metadata: { name }, spec }), { status: 201 })
    const pem = await until(async () => {
      const { body } = await api('GET', `${path}/${name}`)
      return (body.status as Loose | undefined)?.certificate as unknown as string | undefined
    })
    return Buffer.from(pem, 'base64').toString()
  }
  const serving = new x509.X509Certificate(await signed('s', 'kubernetes.io/kubelet-serving', 'server auth'))
  t.ok(await serving.verify({ publicKey: new x509.X509Certificate(ca) }))
  t.match(serving.getExtension(x509.SubjectAlternativeNameExtension)!.names.toJSON(), [
    { value: '127.0.0.1' }
  ])
  const cert = await signed('c', 'kubernetes.io/kube-apiserver-client-kubelet', 'client auth')
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY')
  const call = (path: string, tls: object) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      request(cluster.url + path, { ca, ...tls }, (answer) => {
        void collect(answer).then((text) => resolve({ status: answer.statusCode!, text }))
      })
        .once('error', reject)
        .end()
    })
  t.match(await call('/api/v1/nodes', { cert, key }), { status: 200 })
  t.match(await call('/api/v1/namespaces/default/endpoints', { cert, key }), {
    status: 403,
    text: /User \\"system:node:n1\\"/
  })
  const stranger = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'O=system:masters, CN=admin',
    keys: await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify']),
    signingAlgorithm: algorithm
  })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await t.rejects(
    call('/api/v1/nodes', {
      cert: stranger.toString('pem'),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' })
    }),
    'a key that is not the certificate’s'
  )
  t.match(await call('/api/v1/nodes', {}), { status: 401 })
})
