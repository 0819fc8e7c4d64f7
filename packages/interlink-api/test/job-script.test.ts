import t from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { InterlinkError } from '../src/errors.ts'
import { clientOf, double, request, serve } from './helpers.ts'
import { answer, uidOf } from './plugin-double.ts'

const build = { ApptainerOptions: { executable: 'singularity' } } as never

t.test('the script of a builder goes to the plugin with the pod', async (t) => {
  const plugin = await double(t, (_call, response) => answer(response, { PodUID: uidOf(1), PodJID: '1' }))
  const builder = await double(t, (_call, response) => response.end('#!/bin/sh\necho built\n'))
  const url = await serve(t, [plugin], { jobScriptBuild: build })
  await clientOf(t, { url }).create({ ...request(), jobscriptURL: `${builder.url}/build` })
  t.equal(builder.calls[0]!.path, '/build')
  t.equal(JSON.parse(builder.calls[0]!.body).jobConfig.ApptainerOptions.executable, 'singularity')
  t.match(JSON.parse(plugin.calls[0]!.body), {
    jobScript: '#!/bin/sh\necho built\n',
    jobConfig: { ApptainerOptions: { executable: 'singularity', fakeroot: false } }
  })
})

t.test('where the admin has not configured it, or the builder fails, the plugin is not asked', async (t) => {
  const plugin = await double(t, (_call, response) => answer(response, { PodUID: uidOf(1), PodJID: '1' }))
  const builder = await double(t, (_call, response) => response.writeHead(500).end('hunter2'))
  const failure = async (url: string, jobscriptURL: string) =>
    (await clientOf(t, { url })
      .create({ ...request(), jobscriptURL })
      .catch((error: unknown) => error)) as InterlinkError
  const plain = await serve(t, [plugin])
  t.match(await failure(plain, builder.url), {
    code: 'IL_JOB_SCRIPT_NOT_CONFIGURED',
    status: 400,
    retry: 'no'
  })
  const configured = await serve(t, [plugin], { jobScriptBuild: build })
  t.match(await failure(configured, builder.url), {
    code: 'IL_JOB_SCRIPT_FAILED',
    status: 502,
    message: /it answered 500/
  })
  t.match(await failure(configured, 'file:///etc/passwd'), {
    code: 'IL_INVALID_MESSAGE',
    message: /jobscriptURL: expected an http or https URL/
  })
  t.equal(plugin.calls.length, 0)
})

t.test('a template makes a script of the pod by the names that Go has for its data', async (t) => {
  const plugin = await double(t, (_call, response) => answer(response, { PodUID: uidOf(1), PodJID: '1' }))
  const file = join(t.testdir(), 'job.tpl')
  writeFileSync(
    file,
    `#!/bin/bash
#SBATCH --job-name={{.Pod.Namespace}}-{{.Pod.ObjectMeta.Name}} {{with .Pod.Annotations}}{{index . "flags"}}{{end}}
{{- range $i, $c := .Pod.Spec.Containers}}
# {{$i}} {{$c.Name}} {{$c.Image}}{{if $c.Resources.Limits}} {{$c.Resources.Limits.Cpu}} {{index $c.Resources.Limits "memory"}}{{end}}
{{- range $c.Env}}
export {{.Name}}={{printf "%q" .Value}}
{{- end}}
{{- if $c.WorkingDir}} {{$c.WorkingDir}}{{end}}
{{- end}}
# {{len .Containers}} {{.JobScriptBuild.ApptainerOptions.Executable}} {{.Pod.Spec.HostNetwork}}.
`
  )
  const url = await serve(t, [plugin], { jobScriptTemplate: file, jobScriptBuild: build })
  const { pod, ...rest } = request()
  const metadata = { ...pod.metadata, name: 'p', namespace: 'n', annotations: { flags: '--mem=1' } }
  const container = {
    name: 'main',
    image: 'i:1',
    env: [{ name: 'A', value: 'b "c"' }],
    resources: { limits: { cpu: '2', memory: '1Gi' } }
  }
  await clientOf(t, { url }).create({
    ...rest,
    pod: { ...pod, metadata, spec: { ...pod.spec, containers: [container] } }
  })
  t.equal(
    JSON.parse(plugin.calls[0]!.body).jobScript,
    `#!/bin/bash
#SBATCH --job-name=n-p --mem=1
# 0 main i:1 2 1Gi
export A="b \\"c\\""
# 2 singularity .
`
  )

  writeFileSync(file, 'line one\n{{.Pod.Name.Nope}}')
  const strict = await serve(t, [plugin], { jobScriptTemplate: file })
  await t.rejects(clientOf(t, { url: strict }).create(request()), {
    code: 'IL_JOB_SCRIPT_TEMPLATE',
    status: 422,
    message: /job\.tpl: line 2: can't evaluate field Nope/
  })
  writeFileSync(file, '{{if}')
  await t.rejects(serve(t, [plugin], { jobScriptTemplate: file }), {
    message: /job\.tpl: line 1: unclosed action/
  })
  await t.rejects(serve(t, [plugin], { jobScriptTemplate: '/none' }), {
    message: /jobScriptTemplate: \/none cannot be read/
  })
})
