import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { Value } from 'typebox/value'
import { parse } from 'yaml'
import { FlagPolicy, forbiddenFlags, refuseFlags } from '../src/slurm/annotations/flag-policy.ts'
import { flagText, parseFlags } from '../src/slurm/annotations/parse-flags.ts'
import { longOption, sbatchOptions, shortOption } from '../src/slurm/annotations/sbatch-options.ts'
import { tokenize } from '../src/kit/containers/tokenize.ts'
import { requireReal } from '../../../test/support/require-real.ts'

const call = promisify(execFile)
const words = (text: string) => tokenize(text).words
const flags = (text: string) => {
  const { flags, errors } = parseFlags(text)
  if (errors.length > 0) throw new Error(errors.join('; '))
  return flags.map(flagText)
}

t.test('words are split as a shell splits them, and nothing is expanded', async (t) => {
  t.same(words(`--a='b c' --d="e \\"f\\" $HOME" g\\ h`), ['--a=b c', '--d=e "f" $HOME', 'g h'])
  t.same(words('--a=$(id) `id` ${X}'), ['--a=$(id)', '`id`', '${X}'])
  t.same(words(`--empty="" ''`), ['--empty=', ''])
})

t.test('continuation lines count as blanks, also after YAML has folded them', async (t) => {
  const expected = ['--a=1', '--b=2', '-p', 'gpu']
  t.same(words('--a=1 \\\n  --b=2 \\\n -p gpu'), expected)
  t.same(words('--a=1 \\ --b=2 \\ -p gpu \\'), expected, 'a folded block scalar')
  t.same(words('--a=1\\ --b=2 -p gpu'), expected, 'no blank before the backslash')
  t.same(words(parse('f: >\n  --a=1 \\\n  --b=2\n  -p gpu\n').f), expected)
  t.same(words(parse('f: "--a=1\n    --b=2 \\\n    -p gpu"\n').f), expected, 'a double-quoted scalar')
})

t.test('pasted #SBATCH lines are read, and comments are passed over', async (t) => {
  t.same(words('#!/bin/bash\n#SBATCH --a=1  # one\n##SBATCH --off\n# hello --no\n#SBATCH -n 2\n'), [
    '--a=1',
    '-n',
    '2'
  ])
  t.same(words('#SBATCH --a=1 #SBATCH --b=2'), ['--a=1', '--b=2'], 'folded into one line')
  t.same(words('--reservation=a#b'), ['--reservation=a#b'], 'a # within a word is part of it')
})

t.test('a quote without an end is an error that shows where it begins', async (t) => {
  t.match(parseFlags(`--job-name='half of it`).errors, [/quote ' before "half of it" has no end/])
})

t.test('quotes around the whole text are passed over and told', async (t) => {
  const { words, notices } = tokenize(`'--gres=gpu:4 --time=20:00:00'`)
  t.same(words, ['--gres=gpu:4', '--time=20:00:00'])
  t.match(notices, [/quotes around the whole text/])
})

t.test('the flags of the interTwin pod are read as its author meant them', async (t) => {
  const { metadata } = parse(`
metadata:
  annotations:
    slurm-job.vk.io/flags: "--gres=gpu:4
      --job-name=itwinai \\
      --output=.local/interlink/jobs/itwinai/job.out \\
      --account=interTwin \\
      --mail-type=ALL \\
      --time=20:00:00"
`)
  t.same(flags(metadata.annotations['slurm-job.vk.io/flags']), [
    '--gres=gpu:4',
    '--job-name=itwinai',
    '--output=.local/interlink/jobs/itwinai/job.out',
    '--account=interTwin',
    '--mail-type=ALL',
    '--time=20:00:00'
  ])
})

t.test('long, short, joined and shortened options come out by their long names', async (t) => {
  t.same(flags('-t 100 -A inf24_lhc_1 --gres=gpu:1 --reservation=test_cvmfs -p boost_usr_prod -w lrdn0241'), [
    '--time=100',
    '--account=inf24_lhc_1',
    '--gres=gpu:1',
    '--reservation=test_cvmfs',
    '--partition=boost_usr_prod',
    '--nodelist=lrdn0241'
  ])
  t.same(flags('-n4 -pgpu -N=2 -HOn 3'), [
    '--ntasks=4',
    '--partition=gpu',
    '--nodes=2',
    '--hold',
    '--overcommit',
    '--ntasks=3'
  ])
  t.same(flags('--partit gpu --time 10 --exclusive --exclusive=user --nice'), [
    '--partition=gpu',
    '--time=10',
    '--exclusive',
    '--exclusive=user',
    '--nice'
  ])
})

t.test('what is no flag is an error that names it', async (t) => {
  const errors = (text: string) => parseFlags(text).errors
  t.match(errors('--gers=gpu:1'), [/sbatch has no option --gers/])
  t.match(errors('--mem='), [])
  t.match(errors('-y'), [/no option -y/])
  t.match(errors('hello'), [/"hello" belongs to no flag/])
  t.match(errors('--time'), [/--time needs a value/])
  t.match(errors('--time --mem=1'), [/--time needs a value/])
  t.match(errors('--hold=yes'), [/--hold takes no value/])
  t.match(errors('--job-name="a\nb"'), [/control character/])
})

t.test('what would break or endanger a job is refused by flag and rule, however it is written', async (t) => {
  const policy = Value.Parse(FlagPolicy, Value.Default(FlagPolicy, {}))
  for (const name of forbiddenFlags.keys()) {
    const option = sbatchOptions.find((each) => each.name === name)
    t.ok(option, `--${name} is an option of sbatch`)
    const text = option?.value === 'required' ? `--${name}=x` : `--${name}`
    const [refusal = ''] = refuseFlags(parseFlags(text).flags, policy, 'default')
    t.ok(refusal.startsWith(`${text}: ${forbiddenFlags.get(name)}`), refusal)
    if (option?.short) {
      const short = option.value === 'required' ? `-${option.short} x` : `-${option.short}`
      t.equal(refuseFlags(parseFlags(short).flags, policy, 'default').length, 1, short)
    }
  }
  t.match(refuseFlags(parseFlags('--wra=id').flags, policy, 'default'), [/--wra=id: what runs is the pod/])
})

t.test('a site allows, denies and shapes flags, for all and for a namespace', async (t) => {
  const policy = Value.Parse(
    FlagPolicy,
    Value.Default(FlagPolicy, {
      deny: ['reservation'],
      values: { partition: 'gpu|cpu' },
      namespaces: { students: { allow: ['time', 'partition'], values: { time: '0?\\d:\\d\\d:\\d\\d' } } }
    })
  )
  const refuse = (text: string, namespace = 'staff') => refuseFlags(parseFlags(text).flags, policy, namespace)
  t.same(refuse('--partition=gpu --time=48:00:00 --account=x'), [])
  t.match(refuse('--reservation=x'), [
    /--reservation=x: this site does not let pods set --reservation; remove it/
  ])
  t.match(refuse('-p gpu,debug'), [/-p gpu,debug: this site takes --partition only as gpu\|cpu/])
  t.match(refuse('--account=x', 'students'), [/namespace students lets pods set only --time, --partition/])
  t.match(refuse('--time=48:00:00', 'students'), [/namespace students takes --time only as/])
  t.same(refuse('--time=08:00:00', 'students'), [])
  t.match(refuse('-p debug', 'students'), [/this site takes/], 'the rules of the site hold as well')
})

t.test('every option that the real sbatch tells of is known', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'interlink-sbatch-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  const conf = join(dir, 'slurm.conf')
  await writeFile(
    conf,
    'ClusterName=x\nSlurmctldHost=localhost\nNodeName=localhost\nPartitionName=p Nodes=localhost\n'
  )
  const help = await call('sbatch', ['--help'], { env: { ...process.env, SLURM_CONF: conf } }).catch(
    () => undefined
  )
  if (!requireReal(t, help ? undefined : 'sbatch is not installed')) return
  const told = [...help!.stdout.matchAll(/^\s+(?:-(\w), )?\s*--([a-z0-9-]+)(\[=|\{?=)?/gm)]
  t.ok(told.length > 60, `${told.length} options`)
  for (const [, short, name = '', value] of told) {
    const option = longOption(name)
    t.ok(option, `--${name}`)
    if (short) t.equal(shortOption(short)?.name, option?.name, `-${short} is --${name}`)
    if (value === '=' && name !== 'exclusive') t.equal(option?.value, 'required', `--${name} takes a value`)
  }
})
