/** The job by which `interlink doctor` finds out what a compute node has. Pure. */
import { shellQuote, shellWords } from '../kit/supervisor/quote.ts'
import type { SlurmOptions } from './options.ts'
import { waysOf } from './slurm-streams.ts'

/** What is missing, as bits of the exit code: they are seen even where the directory of the job is not shared. */
const missing = { directory: 1, runtime: 2, container: 4, sessions: 8 } as const

/** Made in the directory of the job once somebody has tried to reach it while it runs. */
export const lookedFile = 'looked'

export interface NodeReport {
  /** `clock`, `host`, `userns`, `version` and what went wrong by name; empty where the directory is not shared. */
  readonly facts: Readonly<Record<string, string>>
  readonly missing: ReadonlySet<keyof typeof missing>
}

/** `probe` is the content of the file `probe` in `dir`, as the plugin has written it. */
export function testJobScript(
  { batch, containers, streams }: Pick<SlurmOptions, 'batch' | 'containers' | 'streams'>,
  dir: string,
  probe: string
): string {
  const { runtime, tool = runtime, shell, options } = containers
  const ways = waysOf(streams).length
  return [
    `#!${shell}`,
    batch.preamble,
    `dir=${shellQuote(dir)} probe=${shellQuote(probe)} tool=${shellQuote(tool)}`,
    ...trial,
    ...(runtime === 'apptainer' || runtime === 'singularity' ? [versionOf, containerTrial(options)] : []),
    ...(runtime === 'enroot' ? [versionOf.replace('--version', 'version')] : []),
    ...(runtime === 'pyxis' ? [pyxisTrial] : []),
    ...(ways > 0 ? [lingering(streams.startSeconds * ways)] : []),
    'mv "$dir/report.tmp" "$dir/report" 2>/dev/null',
    'exit "$code"',
    ''
  ].join('\n')
}

const trial = [
  'umask 077',
  'code=0',
  'out=$dir/report.tmp',
  `[ "$(cat "$dir/probe" 2>/dev/null)" = "$probe" ] && : 2>/dev/null >"$out" || { code=${missing.directory}; out=/dev/null; }`,
  'tell() { printf "%s=%s\\n" "$1" "$(printf "%s" "$2" | tr "\\n" " ")" >>"$out"; }',
  'tell clock "$(date +%s)"',
  'tell host "$(uname -n)"',
  'if said=$(unshare --user true 2>&1); then tell userns yes; else tell userns "no: $said"; fi',
  `command -v setsid >/dev/null || command -v perl >/dev/null || code=$((code + ${missing.sessions}))`
]

const lingering = (seconds: number): string => `left=${Math.ceil(seconds)}
until [ -e "$dir/${lookedFile}" ] || [ "$left" -le 0 ] || [ "$((code & ${missing.directory}))" != 0 ]; do
  [ -e "$dir/call" ] && mv "$dir/call" "$dir/calling" && { perl "$dir/calling" "$dir" 2>"$dir/call.log" & }
  sleep 1
  left=$((left - 1))
done`

const versionOf = `if said=$("$tool" --version 2>&1); then tell version "$said"; else code=$((code + ${missing.runtime})); tell runtime "$said"; fi`

/** The programs of the machine itself stand for an image. */
const containerTrial = (options: readonly string[]): string => `image=$(mktemp -d)
set --
for place in /bin /lib /lib64 /usr; do
  [ -d "$place" ] && mkdir "$image$place" && set -- "$@" --bind "$place:$place:ro"
done
for place in dev etc home proc root sys tmp var var/tmp; do mkdir "$image/$place"; done
if [ "$((code & ${missing.runtime}))" = 0 ]; then
  said=$("$tool" --silent exec --containall --no-eval --writable-tmpfs ${shellWords(options)} "$@" "$image" /bin/true 2>&1) ||
    { code=$((code + ${missing.container})); tell container "$said"; }
fi
rm -rf "$image"`

const pyxisTrial = `srun --help 2>&1 | grep -q -e --container-image ||
  { code=$((code + ${missing.runtime})); tell runtime "srun has no --container-image"; }`

export function readReport(text: string, exitCode: number): NodeReport {
  const facts = text.split('\n').flatMap((line) => {
    const [, name, value] = /^(\w+)=(.*)$/.exec(line) ?? []
    return name === undefined ? [] : [[name, value!.trim()] as const]
  })
  const names = Object.keys(missing) as (keyof typeof missing)[]
  return {
    facts: Object.fromEntries(facts),
    missing: new Set(names.filter((name) => exitCode & missing[name]))
  }
}
