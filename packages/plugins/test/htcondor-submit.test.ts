import t from 'tap'
import { Value } from 'typebox/value'
import { commonOf, tableOf, textOf, type Described } from '../src/htcondor/description-text.ts'
import { renderProgram } from '../src/htcondor/job-program.ts'
import { completeOptions } from '../src/htcondor/options.ts'
import { renderDescription, SubmitOptions } from '../src/htcondor/submit-description.ts'
import { planOf, type Given } from './support-plan.ts'

const optionsOf = (options: object): SubmitOptions =>
  Value.Parse(SubmitOptions, Value.Default(SubmitOptions, structuredClone(options)))
const place = {
  dir: '/jobs/default-u',
  log: '/jobs/.events/2026-11-22',
  mark: 'interlink-1',
  shell: '/bin/sh'
}
const render = (given: Given = {}, options: object = {}, at: object = {}) => {
  const rendered = renderDescription({ plan: planOf(given) }, { ...place, ...at }, optionsOf(options))
  return { ...rendered, text: textOf(rendered.job) }
}
/** Commands of a description by their names. */
const commandsOf = ({ text }: { readonly text: string }): Record<string, string> =>
  Object.fromEntries(
    text.split('\n').flatMap((line) => {
      const at = line.indexOf(' = ')
      return at < 0 ? [] : [[line.slice(0, at), line.slice(at + 3)]]
    })
  )
const annotated = (annotations: Record<string, string>, options: object = {}) =>
  render({ annotations }, options)
const refusals = (rendered: ReturnType<typeof render>) => rendered.refusals.map(({ message }) => message)

t.test('a job is found by the attributes of its ad, and begins once', async (t) => {
  const { text } = render()
  t.match(text, /^\+InterLinkPodUID = "6b2e0d0c-1111-4222-8333-944455556666"$/m)
  t.match(text, /^\+InterLinkRoot = "interlink-1"$/m)
  t.match(text, /^arguments = "'\/jobs\/default-u\/condor\.sh'"$/m)
  t.equal(text.match(/^queue/gm)?.length, 1)
  t.ok(text.endsWith('queue 1\n'))
})

t.test('the memory of what runs containers is added where the site says how much it is', async (t) => {
  const options = { resources: { memoryOverheadMiB: 160 } }
  const asking = { container: { resources: { limits: { memory: '128Mi' } } } }
  t.equal(commandsOf(render(asking, options)).request_memory, '288M')
  t.equal(commandsOf(render(asking)).request_memory, '128M')
  t.equal(commandsOf(render({}, options)).request_memory, undefined, 'the default is of the pool')
})

t.test('what a pod requests are the resources of its slot', async (t) => {
  const limits = {
    cpu: '1500m',
    memory: '100M',
    'ephemeral-storage': '1Gi',
    'nvidia.com/gpu': '2',
    'xilinx.com/fpga': '1'
  }
  const commands = commandsOf(
    render({
      container: { resources: { limits } },
      spec: {
        nodeSelector: { 'nvidia.com/gpu.product': 'NVIDIA-A100-80GB', 'nvidia.com/gpu.memory': '40000' }
      }
    })
  )
  t.match(commands, {
    request_cpus: '2',
    request_memory: '96M',
    request_disk: '1048576K',
    request_gpus: '2',
    request_fpgas: '1',
    gpus_minimum_memory: '40000',
    require_gpus: 'regexp("^NVIDIA[- ]A100[- ]80GB\\044", DeviceName, "i")'
  })
  t.notOk('request_cpus' in commandsOf(render()), 'nothing is asked for: the pool decides')
})

t.test('a resource has the name that its site gives it, or is refused', async (t) => {
  const container = { resources: { limits: { 'example.com/qpu': '3' } } }
  t.match(render({ container }).refusals, [
    { field: 'resources.limits[example.com/qpu]', message: /options\.submit\.resources\.extended/ }
  ])
  const options = { resources: { extended: { 'example.com/*': 'Dev_*' } } }
  t.equal(commandsOf(render({ container }, options)).request_dev_qpu, '3')
})

t.test('a label for a model of machine is a requirement', async (t) => {
  const options = {
    requirements: 'HasCVMFS',
    resources: { models: [{ key: 'example.com/cpu-model', names: { epyc: 'EPYC"7' } }] }
  }
  const given = {
    spec: { nodeSelector: { 'example.com/cpu-model': 'epyc' } },
    annotations: { 'htcondor-job.vk.io/requirements': 'A || B' }
  }
  t.equal(
    commandsOf(render(given, options)).requirements,
    'TARGET.example_com_cpu_model == "EPYC\\"7" && (HasCVMFS) && (A || B)'
  )
})

t.test('HTCondor ends a job after its grace, and after its deadline', async (t) => {
  const spec = { terminationGracePeriodSeconds: 10, activeDeadlineSeconds: 100 }
  t.match(commandsOf(render({ spec })), {
    job_max_vacate_time: '40',
    allowed_job_duration: '140',
    kill_sig: 'SIGTERM'
  })
})

t.test('annotations are commands of the description, by every spelling', async (t) => {
  const commands = commandsOf(
    annotated({
      'htcondor-job.knoc.io/rank': 'Memory',
      'htcondor-job.vk.io/priority': '-5',
      'htcondor-job.vk.io/accounting-group': 'group_cms.prod',
      'htcondor-job.vk.io/concurrency-limits': 'db:2, tape',
      'htcondor-job.vk.io/classads': '+WantRemoteIO = false\nProjectName = "a;b"',
      'htcondor-job.vk.io/universe': 'container'
    })
  )
  t.match(commands, {
    rank: 'Memory',
    priority: '-5',
    accounting_group: 'group_cms.prod',
    concurrency_limits: 'db:2,tape',
    '+ProjectName': '"a;b"'
  })
})

t.test('what a pod may not say is refused by the name of its annotation', async (t) => {
  const wrong: Record<string, readonly [string, RegExp]> = {
    requirements: ['true) || (true', /closes nothing/],
    rank: ['$(x)', /expand/],
    priority: ['high', /whole number/],
    'accounting-group': ['a b', /letters/],
    'concurrency-limits': ['a b', /names with commas/],
    universe: ['local', /machine of the queue/],
    classads: ['Owner = "root"', /decided by the plugin/]
  }
  for (const [name, [value, message]] of Object.entries(wrong)) {
    const [refusal, ...others] = annotated({ [`htcondor-job.vk.io/${name}`]: value }).refusals
    t.equal(refusal?.field, `metadata.annotations[htcondor-job.vk.io/${name}]`)
    t.match(refusal?.message, message)
    t.same(others, [])
  }
})

t.test('no attribute that decides what runs, where, as whom or until when is a pod’s', async (t) => {
  const names = [
    'InterLinkPodUID interlinkroot ClusterId JobUniverse Cmd Arguments Environment Iwd UserLog Owner AcctGroup',
    'x509userproxy TransferInput WantDocker ContainerImage PeriodicHold OnExitRemove LeaveJobInQueue KillSig',
    'JobMaxVacateTime RequestCpus Requirements JobPrio HoldReasonCode NumJobStarts'
  ].flatMap((line) => line.split(' '))
  for (const name of names)
    t.equal(annotated({ 'htcondor-job.vk.io/classads': `${name} = 1` }).refusals.length, 1, name)
})

t.test('a site says what pods may set, in general and by namespace', async (t) => {
  const policy = {
    deny: ['rank'],
    values: { accounting_group: 'group_[a-z]+' },
    namespaces: { default: { allow: ['requirements', '+ProjectName'] } }
  }
  const said = (name: string, value: string) =>
    refusals(annotated({ [`htcondor-job.vk.io/${name}`]: value }, { policy }))
  t.match(said('rank', 'Memory'), [/this site does not let pods set rank/])
  t.match(said('accounting-group', 'other'), [/takes accounting_group only as group_\[a-z\]\+/])
  t.match(said('priority', '1'), [/namespace default lets pods set only requirements, \+ProjectName/])
  t.same(said('requirements', 'true'), [])
  t.same(said('classads', 'ProjectName = "p"'), [])
})

t.test('a namespace is charged as its site says', async (t) => {
  const accounting = {
    group: 'all',
    concurrencyLimits: ['a'],
    namespaces: { default: { group: 'group_x', user: 'alice' }, other: { group: 'group_y' } }
  }
  t.match(commandsOf(render({}, { accounting })), {
    accounting_group: 'group_x',
    accounting_group_user: 'alice',
    concurrency_limits: 'a'
  })
  const own = annotated({ 'htcondor-job.vk.io/concurrency-limits': 'b' }, { accounting })
  t.equal(commandsOf(own).concurrency_limits, 'a,b')
})

t.test('an annotation that nobody reads is told', async (t) => {
  const { notices } = annotated({
    'htcondor-job.vk.io/requirement': 'x',
    'htcondor-job.knoc.io/singularity-commands': 'y'
  })
  t.match(notices, [
    { reason: 'AnnotationNotRead' },
    { reason: 'AnnotationNotRead', message: /command of the container/ }
  ])
})

t.test(
  'where HTCondor carries the files, the job is a bundle, and what it sends back is kept for a second run',
  async (t) => {
    const { text } = render({}, {}, { transfers: true })
    t.match(commandsOf({ text }), {
      arguments: `"'condor.sh'"`,
      initialdir: '/jobs/default-u',
      should_transfer_files: 'YES',
      when_to_transfer_output: 'ON_EXIT_OR_EVICT',
      transfer_input_files: 'condor.sh, job.tar',
      transfer_output_files: 'job.sent, state.tar'
    })
    const program = renderProgram(
      { plan: planOf({}), dir: "/tmp/a'b" },
      { preamble: '', shell: '/bin/sh', transfers: true }
    )
    t.match(program, /dir='\/tmp\/a'\\''b'/)
    t.match(program, /ln -s -- "\$here\/job" "\$dir" \|\| exit 1/)
  }
)

t.test('options that contradict each other are told by their field', async (t) => {
  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ files: 'transfer', ssh: { host: 'h', user: 'u' } }, /options\.ssh/],
    [{ spool: true }, /options\.spool/],
    [
      { files: 'transfer', streams: { callHome: { listen: 'http://0.0.0.0:1' } } },
      /options\.streams\.callHome\.keep/
    ]
  ]
  for (const [options, message] of wrong) t.throws(() => completeOptions(options), message)
})

/** Of a pod with a name of its own. */
const named = (name: string, given: Given = {}, options: object = {}): Described => {
  const { job } = render(given, options, { dir: `/jobs/default-${name}` })
  const own = job.commands.map((command) =>
    command.name === '+InterLinkPodName' ? { ...command, value: `"${name}"` } : command
  )
  return { ...job, commands: own }
}

t.test('jobs that differ in what is their own alone go as the rows of one table', async (t) => {
  const jobs = ['a', 'b.c'].map((name) => named(name, {}, { extra: ['+WantX = true'] }))
  t.equal(commonOf(jobs[0]!), commonOf(jobs[1]!))
  const text = tableOf(jobs)
  t.match(text, /^\+InterLinkPodName = "\$\(pod4\)"$/m)
  t.match(text, /^arguments = "'\$\(pod0\)'"$/m)
  t.match(text, /\+WantX = true\nqueue pod0,pod1,pod2,pod3,pod4,pod5 from \(\n/)
  t.same(
    text
      .slice(text.indexOf('from (\n') + 7)
      .split('\n')
      .map((row) => row.split(', ').filter((_, index) => index < 2 || index === 4)),
    [
      ['/jobs/default-a/condor.sh', '/jobs/default-a', 'a'],
      ['/jobs/default-b.c/condor.sh', '/jobs/default-b.c', 'b.c'],
      [')'],
      ['']
    ]
  )
})

t.test('a job goes alone where it asks for something else, or a row could not hold its words', async (t) => {
  const common = commonOf(named('a'))
  t.ok(common)
  t.not(commonOf(named('b', { annotations: { 'htcondor-job.vk.io/priority': '1' } })), common)
  t.not(commonOf(named('b', { container: { resources: { limits: { cpu: '1' } } } })), common)
  for (const name of ['a b', 'a,b', '$(x)', 'a\\044', 'é', 'a"b'])
    t.equal(commonOf(named(name)), undefined, name)
  for (const dir of ["/a'b", '/a b', '/a,b', '/a$b'])
    t.equal(commonOf(render({}, {}, { dir }).job), undefined, dir)
  for (const line of ['queue 2', 'max_idle = 3', ' max_materialize=1'])
    t.equal(commonOf(named('a', {}, { extra: [line] })), undefined, line)
})

t.test('lines of the site come last', async (t) => {
  const { text } = render({}, { extra: ['+WantX = true'] })
  t.ok(text.endsWith('+WantX = true\nqueue 1\n'))
})

t.test('an expression of the site that is none is an error of its configuration', async (t) => {
  t.throws(() => completeOptions({ submit: { requirements: 'a) || (b' } }), /options\.submit\.requirements/)
  t.throws(() => completeOptions({ schedd: '-name' }))
})

t.test('the program of a job quotes its directory, and holds its preamble', async (t) => {
  const plan = planOf({
    container: { image: 'docker://busybox', volumeMounts: [{ name: 'm', mountPath: '/m' }] },
    spec: { volumes: [{ name: 'm', emptyDir: { medium: 'Memory' } }] }
  })
  const program = renderProgram(
    { plan, dir: "/a'b" },
    { preamble: 'module load apptainer\n', shell: '/bin/sh' }
  )
  t.match(program, /\nmodule load apptainer\n/)
  t.match(program, /'\/a'\\''b\/job\.sh'/)
  t.match(program, /dev\/shm/)
})
