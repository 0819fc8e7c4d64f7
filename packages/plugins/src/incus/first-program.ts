import { shellQuote } from '../kit/supervisor/quote.ts'

/** Where a job lies in its instance. */
export const jobPath = '/.interlink'

/** A pipe by which the first program of an instance hears that its job is there. */
const pipe = '/.interlink-begin'

/**
 * The pipe is opened before the job is looked for: one that comes in between is heard of by it. Its removal is not waited
 * for.
 */
const first = [
  'umask 077',
  `mkfifo ${pipe}`,
  `exec 3<>${pipe}`,
  `[ -d ${jobPath} ] || read -r _ <&3`,
  'exec 3>&-',
  `{ rm -f ${pipe} & }`,
  `exec /bin/sh ${jobPath}/init.sh`
].join(';')

/**
 * `lxc.init.cmd` of a container whose job is brought once it runs: to put a file into one that is stopped, Incus mounts it
 * once more, which takes longer. LXC splits the line at blanks, of which there must be none, and knows no quotes.
 */
export const firstProgram = `/bin/sh -c ${`eval ${first.replace(/[^\w/. -]/g, '\\$&')}`.replaceAll(' ', '${IFS}')}`

/** `oci.entrypoint`, in which Incus knows the quotes of a shell. */
export const firstOciProgram = `/bin/sh -c ${shellQuote(`${first} oci`)}`

/** What {@link takeJob} prints once the job is there. */
export const taken = 'taken'

/** Words of a shell: take a job, as a tar archive, from standard input, and let the first program begin it. */
export const takeJob = `
umask 077
[ ! -e ${jobPath} ] || { echo 'its image has a ${jobPath}' >&2; exit 1; }
mkdir ${jobPath}.new 2>/dev/null || { rm -rf ${jobPath}.new && mkdir ${jobPath}.new; } || exit
tar -xf - -C ${jobPath}.new && mv ${jobPath}.new ${jobPath} || exit
[ ! -p ${pipe} ] || echo 1<>${pipe}
echo ${taken}
`
