/** The job by which `interlink doctor` finds out what a machine of the site has. Pure. */
import { shellQuote, shellWords } from '../supervisor/quote.ts'

/** What is missing, as bits of the exit code: they are seen even where the directory of the job is not. */
const missing = { directory: 1, runtime: 2, container: 4, sessions: 8 } as const

/** Made in the directory of the job once somebody has tried to reach it while it runs. */
export const lookedFile = 'looked'

export interface NodeReport {
  /** `clock`, `host`, `userns`, `version` and what went wrong by name; empty where the directory is not shared. */
  readonly facts: Readonly<Record<string, string>>
  readonly missing: ReadonlySet<keyof typeof missing>
}

export interface Trial {
  readonly preamble: string
  readonly shell: string
  /** What runs containers. */
  readonly tool: string
  /** Further lines of the script, which `tell NAME VALUE`; such as those of {@link apptainerTrial}. */
  readonly lines: readonly string[]
  /** How long the job waits for somebody who tries to reach it; 0: nobody will. */
  readonly lingerSeconds: number
}

/** `dir` is the directory as the job sees it; `probe` is the content of the file `probe` in it. */
export function trialScript(trial: Trial, dir: string, probe: string): string {
  return [
    `#!${trial.shell}`,
    trial.preamble,
    `dir=${shellQuote(dir)} probe=${shellQuote(probe)} tool=${shellQuote(trial.tool)}`,
    ...surroundings,
    ...trial.lines,
    ...(trial.lingerSeconds > 0 ? [lingering(trial.lingerSeconds)] : []),
    'mv "$dir/report.tmp" "$dir/report" 2>/dev/null',
    'exit "$code"',
    ''
  ].join('\n')
}

const surroundings = [
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

/** `words` make the tool tell its version. */
export const versionTrial = (words: string): string =>
  `if said=$("$tool" ${words} 2>&1); then tell version "$said"; else code=$((code + ${missing.runtime})); tell runtime "$said"; fi`

/** Its version, and a container of it. */
export const apptainerTrial = (options: readonly string[]): string[] => [
  versionTrial('--version'),
  containerTrial(options)
]

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

/** For further lines: that is not there, for this reason. */
export const lacksRuntime = (words: string): string =>
  `{ code=$((code + ${missing.runtime})); tell runtime ${shellQuote(words)}; }`

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
