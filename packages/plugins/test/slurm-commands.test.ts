import t from 'tap'
import { parseJobId, parseSacct, parseSqueue } from '../src/slurm/commands.ts'
import { submitFailure } from '../src/slurm/submit-failures.ts'

t.test('what squeue of 22.05 prints is read, whatever the comments hold', async (t) => {
  const text = [
    '2|PENDING|1795260588|1795264188|1:00:00||Resources|uid-2 interlink-1',
    '3|PENDING|N/A|N/A|UNLIMITED||JobHeldUser|(null)',
    '1|RUNNING|1795259988|1795346388|1-00:00:00|n[1-2]|None|a|b|c',
    'a second line of somebody’s comment|x',
    '4|PENDING|N/A|N/A|10:00||ReqNodeNotAvail, UnavailableNodes:n4|uid-4',
    ''
  ].join('\n')
  t.strictSame(parseSqueue(text), [
    {
      jobId: '2',
      state: 'PENDING',
      startAt: 1_795_260_588_000,
      endAt: 1_795_264_188_000,
      limitMs: 3_600_000,
      nodes: '',
      reason: 'Resources',
      comment: 'uid-2 interlink-1'
    },
    { jobId: '3', state: 'PENDING', nodes: '', reason: 'JobHeldUser', comment: '' },
    {
      jobId: '1',
      state: 'RUNNING',
      startAt: 1_795_259_988_000,
      endAt: 1_795_346_388_000,
      limitMs: 86_400_000,
      nodes: 'n[1-2]',
      reason: 'None',
      comment: 'a|b|c'
    },
    {
      jobId: '4',
      state: 'PENDING',
      limitMs: 600_000,
      nodes: '',
      reason: 'ReqNodeNotAvail, UnavailableNodes:n4',
      comment: 'uid-4'
    }
  ])
})

t.test('of a job that accounts know twice, the last run holds', async (t) => {
  const text =
    '8|NODE_FAIL|1795259000|1795259100|60|n1|None|uid\n8|CANCELLED by 0|1795259988|1795259999|60|n2|None|uid\n9|TIMEOUT|Unknown|Unknown|UNLIMITED|None assigned|TimeLimit|\n'
  t.match(parseSacct(text), [
    {
      jobId: '8',
      state: 'CANCELLED',
      cancelledBy: '0',
      nodes: 'n2',
      endAt: 1_795_259_999_000,
      limitMs: 3_600_000
    },
    { jobId: '9', state: 'TIMEOUT', nodes: '', reason: 'TimeLimit', startAt: undefined }
  ])
})

t.test('the job id of sbatch is the last line alone, with or without a cluster', async (t) => {
  t.equal(parseJobId('1234\n'), '1234')
  t.equal(parseJobId('1234;alpha\n'), '1234')
  t.equal(parseJobId('a word of the site\n77\n'), '77')
  t.equal(parseJobId('Submitted batch job 5\n'), undefined)
  t.equal(parseJobId(''), undefined)
})

const failure = (stderr: string, code = 1) => submitFailure({ code, stdout: Buffer.alloc(0), stderr })

t.test('a refusal is for good, with the words of Slurm', async (t) => {
  for (const [stderr, words] of [
    [
      'sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified\n',
      'slurm refuses the job: invalid partition specified: nope; Batch job submission failed: Invalid partition name specified'
    ],
    [
      'sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n',
      'slurm refuses the job: Batch job submission failed: Invalid account or account/partition combination specified'
    ],
    [
      'sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy\n',
      /QOSMaxWallDurationPerJobLimit/
    ]
  ] as const)
    t.match(failure(stderr), { code: 'PLUGIN_BACKEND_REFUSED', retry: 'no', message: words })
  t.match(
    failure('sbatch: unrecognized option \'--bogus\'\nTry "sbatch --help" for more information\n', 255),
    {
      code: 'PLUGIN_BACKEND_REFUSED',
      message: "slurm refuses the job: sbatch: unrecognized option '--bogus'"
    }
  )
})

t.test('what may pass is not taken for a refusal', async (t) => {
  for (const stderr of [
    'sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n',
    'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n',
    'sbatch: error: QOSMaxSubmitJobPerUserLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user’s size and/or time limits)\n',
    'sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n',
    'sbatch: error: Munge encode failed: Failed to access "/run/munge/munge.socket.2"\nsbatch: error: Batch job submission failed: Protocol authentication error\n',
    'sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received\n',
    ''
  ])
    t.notMatch(failure(stderr), { code: 'PLUGIN_BACKEND_REFUSED' })
})
