import { Type, type Static } from 'typebox'
import { Value } from 'typebox/value'

const yes = (description: string) => Type.Boolean({ default: true, description })
const no = (description: string) => Type.Boolean({ default: false, description })

/** What a site lets pods do and what its backend can do for them; part of a plugin's configuration. */
export const SitePolicy = Type.Object(
  {
    hostPaths: Type.Array(
      Type.Object(
        {
          path: Type.String({ pattern: '^/', description: 'this directory and everything below it' }),
          readOnly: Type.Boolean({ default: true })
        },
        { additionalProperties: false }
      ),
      { default: [], description: 'host directories that hostPath volumes may name' }
    ),
    hostNetworkShared: yes('jobs use the network of the machine they run on'),
    processesShared: yes('the containers of a job see each other as processes'),
    runtimeClasses: Type.Array(Type.String(), {
      default: [],
      description: 'runtime classes that every job of this site fulfils anyway, such as nvidia'
    }),
    clusterDomain: Type.String({ default: 'cluster.local' }),
    graceSeconds: Type.Integer({ default: 30, minimum: 0, description: 'where the pod says nothing' }),
    deadlineSeconds: Type.Optional(Type.Integer({ minimum: 1, description: 'where the pod says nothing' })),
    maxDeadlineSeconds: Type.Optional(Type.Integer({ minimum: 1 })),
    requests: Type.Object(
      { cpu: Type.Optional(Type.String()), memory: Type.Optional(Type.String()) },
      { default: {}, additionalProperties: false, description: 'the request of a pod that makes none' }
    ),
    maxStringBytes: Type.Integer({
      default: 131071,
      description: 'longest argument or NAME=value that Linux hands to a program (MAX_ARG_STRLEN, execve(2))'
    }),
    maxExecBytes: Type.Integer({
      default: 1572864,
      description: 'arguments and environment of one container'
    }),
    maxFilesBytes: Type.Integer({ default: 16777216, description: 'files of all volumes of a pod' }),
    backend: Type.Object(
      {
        user: no('runs containers under the uid and gid they ask for'),
        groups: no('gives fsGroup and supplementalGroups'),
        capabilities: no('drops capabilities'),
        seccomp: no('applies seccomp, AppArmor and SELinux settings'),
        noNewPrivileges: no('applies allowPrivilegeEscalation: false'),
        readOnlyRoot: no('makes the root file system read-only'),
        userNamespace: no('runs the pod in a user namespace of its own'),
        jobScripts: no('runs the script of a job script builder'),
        pullSecrets: no('pulls images with the credentials of the pod'),
        claims: no('gives the devices that resource claims were allocated'),
        sizeLimits: no('holds emptyDir and ephemeral-storage limits'),
        hostname: no('sets the host name seen inside'),
        ownNetwork: no('gives each pod a network of its own, and never that of a machine')
      },
      { default: {}, additionalProperties: false, description: 'what the backend honours' }
    )
  },
  { additionalProperties: false }
)
export type SitePolicy = Static<typeof SitePolicy>

/** The policy with every default: no host paths, the machine's network, a backend that maps nothing. */
export const defaultSitePolicy: SitePolicy = Value.Parse(SitePolicy, Value.Default(SitePolicy, {}))
