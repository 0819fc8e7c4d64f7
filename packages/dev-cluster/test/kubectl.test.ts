import t from 'tap'
import { devCluster, node, until, withoutKubectl, type Fixture } from './support.ts'

const taint = { key: 'virtual-node.interlink/no-schedule', value: 'true', effect: 'NoSchedule' }

void t.test('kubectl, as it is', { skip: withoutKubectl }, async (t) => {
  const fixture = await devCluster(t)
  const { api, cluster } = fixture
  await api('POST', '/api/v1/nodes', node('n1', { taints: [taint] }))
  /** Runs kubectl; fails the test when it fails. */
  const k = async (args: string, input?: string) => {
    const { code, stdout, stderr } = await fixture.kubectl(args, input)
    if (code !== 0) t.fail(`kubectl ${args}`, { stderr })
    return stdout
  }
  const finish = (name: string, phase: string): ReturnType<Fixture['api']> =>
    api('PATCH', `/api/v1/namespaces/default/pods/${name}/status`, {
      status: { phase, conditions: [{ type: 'Ready', status: phase === 'Running' ? 'True' : 'False' }] }
    })

  await t.test('asks who and where it is', async (t) => {
    t.match(await k('version'), /Server Version: v1\.35\./)
    t.match(await k('auth whoami'), /system:masters/)
    t.match(await k('auth can-i create pods'), /^yes/)
    t.match(await k('api-resources'), /deployments +deploy +apps\/v1 +true +Deployment/)
    t.match(await k('cluster-info'), cluster.url)
    t.match(await k('explain pod.spec.containers.env'), /FIELD: env <\[\]EnvVar>/)
  })

  await t.test('runs a pod, waits for it, describes it and tells its events', async (t) => {
    const overrides = JSON.stringify({ spec: { tolerations: [{ key: taint.key, operator: 'Exists' }] } })
    t.equal(
      await k(`run hello --image=host --restart=Never --overrides=${overrides} -- echo hi`),
      'pod/hello created\n'
    )
    await k('wait pod/hello --for=condition=PodScheduled --timeout=10s')
    const waiting = k('wait pod/hello --for=jsonpath={.status.phase}=Succeeded --timeout=20s')
    await finish('hello', 'Running')
    t.match(await k('get pods'), /NAME +READY +STATUS +RESTARTS +AGE\nhello +0\/1 +Running/)
    await finish('hello', 'Succeeded')
    t.equal(await waiting, 'pod/hello condition met\n')
    t.match(await k('get pod hello -o wide'), /n1/)
    t.match(await k('describe pod hello'), /Successfully assigned default\/hello to n1/)
    t.match(await k('events --for pod/hello'), /Scheduled/)
    t.match(await k('get events'), /pod\/hello/)
    t.match(await k('describe node n1'), /virtual-node.interlink\/no-schedule=true:NoSchedule/)
  })

  await t.test('applies, applies again, and prunes what is no longer said', async (t) => {
    const map = (data: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: ${data}\n`
    t.equal(await k('apply -f -', map('{a: "1", b: "2"}')), 'configmap/m created\n')
    t.equal(await k('apply -f -', map('{a: "1", b: "2"}')), 'configmap/m unchanged\n')
    t.equal(await k('apply -f -', map('{a: "3"}')), 'configmap/m configured\n')
    t.equal(await k('get cm m -o jsonpath={.data}'), '{"a":"3"}')
    t.equal(await k('diff -f -', map('{a: "3"}')), '')
    t.match(await k('apply --server-side --force-conflicts -f -', map('{c: "4"}')), /serverside-applied/)
    const pod = (image: string) =>
      `apiVersion: v1\nkind: Pod\nmetadata: {name: applied}\nspec: {tolerations: [{key: x, operator: Exists}], containers: [{name: a, image: ${image}}]}\n`
    await k('apply -f -', pod('one'))
    t.match(await k('apply -f -', pod('two')), 'pod/applied configured\n')
    const refused = await fixture.kubectl(
      'apply -f -',
      pod('two').replace('name: a,', 'name: a, command: [x],')
    )
    t.match(refused.stderr, /Forbidden: pod updates may not change fields other than/)
    const typo = await fixture.kubectl('apply -f -', pod('two').replace('tolerations', 'tolerattions'))
    t.match(typo.stderr, /unknown field "spec.tolerattions"/)
  })

  await t.test('takes lists, and names what is wrong in them', async (t) => {
    const item = (name: string, more = {}) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: {
        containers: [
          {
            name: 'a',
            image: 'host',
            ports: [{ containerPort: 80 }],
            resources: { limits: { cpu: 1, memory: '1Gi' } },
            livenessProbe: { httpGet: { port: 80 } }
          }
        ],
        ...more
      }
    })
    const map = (data: object) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'listed' },
      data
    })
    const list = (...items: object[]) => JSON.stringify({ apiVersion: 'v1', kind: 'List', items })
    t.equal(
      await k('create -f -', list(item('l1'), map({ a: '1' }))),
      'pod/l1 created\nconfigmap/listed created\n'
    )
    t.equal(
      await k('apply -f -', list(item('l2'), map({ a: '2' }))),
      'pod/l2 created\nconfigmap/listed configured\n'
    )
    t.equal(await k('replace -f -', list(map({ a: '3' }))), 'configmap/listed replaced\n')
    t.equal(await k('get cm listed -o jsonpath={.data}'), '{"a":"3"}')
    for (const mode of ['create', 'apply', 'replace', 'create --validate=strict']) {
      const { code, stdout, stderr } = await fixture.kubectl(
        `${mode} -f -`,
        list(item('l3', { tolerattions: [], restartPolicy: {} }))
      )
      t.not(code, 0, mode)
      t.match(stderr, /unknown field "tolerattions" in PodSpec/)
      t.match(stderr, /invalid type for .*PodSpec\.restartPolicy: got "map", expected "string"/)
      t.equal(stdout, '')
    }
    const warned = await fixture.kubectl(
      'create --validate=warn -f -',
      list(item('l3', { tolerattions: [] }))
    )
    t.equal(warned.stdout, 'pod/l3 created\n')
    t.match(warned.stderr, /Warning: unknown field "spec.tolerattions"/)
    const lacking = await fixture.kubectl('create -f -', list({ ...item('l3'), spec: {} }))
    t.match(lacking.stderr, /missing required field "containers" in .*PodSpec/)
    await k('delete -f -', list(item('l1'), item('l2'), item('l3'), map({})))
  })

  await t.test('explains by either document', async (t) => {
    for (const output of ['plaintext', 'plaintext-openapiv2'])
      t.match(
        await k(`explain pod.spec.containers.env --output=${output}`),
        /valueFrom\s+<(EnvVarSource|Object)>/,
        output
      )
  })

  await t.test('creates what is typed, in protobuf', async (t) => {
    t.equal(await k('create configmap c --from-literal=x=1'), 'configmap/c created\n')
    t.equal(await k('get cm c -o jsonpath={.data.x}'), '1')
    await k('create secret generic s --from-literal=password=hush')
    t.equal(await k('get secret s -o jsonpath={.data.password}'), Buffer.from('hush').toString('base64'))
    await k('create deployment web --image=nginx:1 --replicas=0')
    t.equal(await k('get deploy web -o jsonpath={.spec.replicas}'), '0', 'a pointer to zero is kept')
    t.equal(await k('scale deploy web --replicas=2'), 'deployment.apps/web scaled\n')
    await k('create job once --image=host -- true')
    t.match(await k('get jobs'), /once +Running +0\/1/)
    t.match(await k('create token default --duration=1h'), /^ey/)
    await k('create priorityclass high --value=7')
    t.match(await k('get priorityclass high'), /high +7/)
    await k('create service clusterip web --tcp=80:8080')
    t.match(await k('get svc web'), /ClusterIP +10\.96\.0\.\d+ +<none> +80\/TCP/)
    t.match(
      await k(
        'create --dry-run=server -f - -o yaml',
        'apiVersion: v1\nkind: Namespace\nmetadata: {name: dry}\n'
      ),
      /phase: Active/
    )
  })

  await t.test('labels, annotates, patches and selects', async (t) => {
    await k('label cm c tier=web')
    await k('annotate cm c note=x')
    t.match(await k('get cm -l tier --show-labels'), /c +1 +\d+s +tier=web/)
    await k('patch cm c -p {"data":{"y":"2"}}')
    await k('patch cm c --type=merge -p {"data":{"x":null}}')
    await k('patch cm c --type=json -p [{"op":"add","path":"/data/z","value":"3"}]')
    t.equal(await k('get cm c -o jsonpath={.data}'), '{"y":"2","z":"3"}')
    t.match(await k('get cm -A --field-selector metadata.name=c'), /default +c/)
  })

  await t.test('watches pods come and go', async (t) => {
    const printed = fixture.following('get pods -w')
    // the watch goes on from the list: once that is printed, nothing is missed
    await until(() => printed().includes('hello'))
    await k('run seen --image=host')
    await until(() => /seen +0\/1 +Pending/.test(printed()))
    await k('delete pod seen')
    t.equal(printed().match(/NAME/g)!.length, 1)
  })

  await t.test('rolls out, waits for deletion, drains and cleans up', async (t) => {
    t.match(
      (await fixture.kubectl('rollout status deploy/web --timeout=1s')).stdout,
      /Waiting for deployment/
    )
    t.match(await k('drain n1 --force --delete-emptydir-data'), /node\/n1 drained/)
    t.match(await k('get nodes'), /Ready,SchedulingDisabled/)
    await k('uncordon n1')
    t.match(await k('delete deploy,job --all'), /deployment.apps "web" deleted/)
    await k('delete pods --all')
    await k('create namespace other')
    t.match(await k('delete namespace other'), /namespace "other" deleted/)
    t.match(await k('get all'), /service\/kubernetes/)
  })

  await t.test('is told plainly what is not there', async (t) => {
    t.match(
      (await fixture.kubectl('get pod nope')).stderr,
      'Error from server (NotFound): pods "nope" not found'
    )
    t.match((await fixture.kubectl('exec p -- ls')).code, 1)
    t.match((await fixture.kubectl('get cronjobs')).stderr, /doesn't have a resource type "cronjobs"/)
  })
})
