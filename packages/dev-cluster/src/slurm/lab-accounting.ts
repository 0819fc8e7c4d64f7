/** slurmdbd and its MariaDB of a lab: reached through a socket in the lab's private directory, so without passwords. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export interface AccountingPlace {
  readonly dir: string
  readonly user: string
  /** Of slurmdbd. */
  readonly port: number
  /** Lines of slurmdbd.conf. */
  readonly extra: readonly string[]
}

export const accountingPrograms = ['slurmdbd', 'sacct', 'sacctmgr', 'mariadbd', 'mariadb-install-db'] as const

const database = (dir: string): string => join(dir, 'mysql')

/** slurmdbd.conf(5); SLURM_CONF leads to its directory. */
export async function writeAccounting({ dir, user, port, extra }: AccountingPlace): Promise<void> {
  await mkdir(database(dir), { mode: 0o700 })
  await writeFile(
    join(dir, 'slurmdbd.conf'),
    [
      'AuthType=auth/munge',
      `AuthInfo=socket=${dir}/munge/socket`,
      'DbdHost=localhost',
      'DbdAddr=127.0.0.1',
      `DbdPort=${port}`,
      `SlurmUser=${user}`,
      `PidFile=${dir}/slurmdbd.pid`,
      `LogFile=${dir}/log/slurmdbd.log`,
      'StorageType=accounting_storage/mysql',
      'StorageHost=localhost',
      `StorageUser=${user}`,
      'StorageLoc=slurm',
      ...extra,
      ''
    ].join('\n'),
    { mode: 0o600 }
  )
}

/** Lines of slurm.conf(5). */
export const accountingLines = ({ dir, port }: Pick<AccountingPlace, 'dir' | 'port'>): string[] => [
  'AccountingStorageType=accounting_storage/slurmdbd',
  'AccountingStorageHost=127.0.0.1',
  `AccountingStoragePort=${port}`,
  `AccountingStoragePass=${dir}/munge/socket`,
  'AccountingStorageTRES=gres/gpu',
  'AccountingStoreFlags=job_comment'
]

/** libmariadb's, for slurmdbd. */
export const databaseEnv = (dir: string) => ({ MYSQL_UNIX_PORT: join(database(dir), 'socket') })

/** One that starts removes what lies in a directory that others use as well, of those that run too. */
const ownFiles = (dir: string): string => `--tmpdir=${database(dir)}`

export const installDatabase = (dir: string, user: string): readonly [string, ...string[]] => [
  'mariadb-install-db',
  '--no-defaults',
  `--user=${user}`,
  `--datadir=${database(dir)}/data`,
  ownFiles(dir),
  '--skip-test-db',
  '--auth-root-authentication-method=normal'
]

export const startDatabase = (dir: string, user: string): readonly [string, ...string[]] => [
  'mariadbd',
  '--no-defaults',
  `--user=${user}`,
  `--datadir=${database(dir)}/data`,
  ownFiles(dir),
  `--socket=${database(dir)}/socket`,
  `--pid-file=${database(dir)}/pid`,
  '--skip-networking',
  '--skip-grant-tables',
  '--innodb-buffer-pool-size=128M',
  '--innodb-lock-wait-timeout=900',
  '--innodb-flush-log-at-trx-commit=0'
]

/** What `sacctmgr -i` reads: in one call, as each takes half a second. */
export const accounts = (user: string): string =>
  [
    'add cluster lab',
    'add account lab Cluster=lab',
    `add user ${user} Account=lab DefaultAccount=lab`,
    ''
  ].join('\n')
