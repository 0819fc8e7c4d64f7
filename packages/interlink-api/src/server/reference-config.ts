import { Type, type Static } from 'typebox'
import { ConfigError, type YamlPlace } from '../config/yaml.ts'
import type { ScriptBuildConfig } from '../wire/messages.ts'
import type { ApiConfigInput } from './config.ts'

const text = () => Type.Optional(Type.String({ 'x-number': true }))
const flag = () => Type.Optional(Type.Boolean())
const loose = { additionalProperties: true } as const

/** The file of the reference's API server (interLink 0.6); keys that are not listed are ignored, as there. */
export const ReferenceFile = Type.Object(
  {
    InterlinkAddress: text(),
    InterlinkPort: text(),
    SidecarURL: text(),
    SidecarPort: text(),
    JobScriptTemplate: text(),
    JobScriptBuildConfig: Type.Optional(
      Type.Object(
        {
          singularity_hub: Type.Optional(Type.Unknown()),
          apptainer_options: Type.Optional(Type.Unknown()),
          volumes_options: Type.Optional(Type.Unknown())
        },
        loose
      )
    ),
    VerboseLogging: flag(),
    ErrorsOnlyLogging: flag(),
    TLS: Type.Optional(
      Type.Object({ Enabled: flag(), CertFile: text(), KeyFile: text(), CACertFile: text() }, loose)
    )
  },
  loose
)
export type ReferenceFile = Static<typeof ReferenceFile>

export const isReferenceFile = (keys: readonly string[]): boolean =>
  keys.some((key) => /^(Interlink(Address|Port)|Sidecar(URL|Port))$/.test(key))

/** The reference's environment, which comes before its file. */
export function withEnvironment(file: ReferenceFile, env: NodeJS.ProcessEnv): ReferenceFile {
  return {
    ...file,
    InterlinkAddress: env.INTERLINKURL || env.InterlinkAddress || file.InterlinkAddress,
    InterlinkPort: env.INTERLINKPORT || env.InterlinkPort || file.InterlinkPort,
    SidecarURL: env.SIDECARURL || env.SidecarURL || file.SidecarURL,
    SidecarPort: env.SIDECARPORT || env.SidecarPort || file.SidecarPort
  }
}

/** @throws ConfigError for what cannot be honoured. */
export function fromReference(file: ReferenceFile, place: YamlPlace): ApiConfigInput {
  if (!file.SidecarURL)
    throw new ConfigError(
      `${place('SidecarURL')}: SidecarURL: expected http://host, https://host or unix:///path, found nothing`
    )
  const tls = file.TLS?.Enabled ? file.TLS : undefined
  if (tls && !(tls.CertFile && tls.KeyFile))
    throw new ConfigError(`${place('TLS')}: TLS: expected CertFile and KeyFile where Enabled is true`)
  const address = endpoint(file.InterlinkAddress ?? 'http://127.0.0.1', file.InterlinkPort)
  return {
    listen: tls ? address.replace(/^http:/, 'https:') : address,
    plugins: [{ name: 'plugin', url: endpoint(file.SidecarURL, file.SidecarPort) }],
    ...(tls
      ? {
          tls: {
            certFile: tls.CertFile!,
            keyFile: tls.KeyFile!,
            ...(tls.CACertFile ? { clientCaFile: tls.CACertFile } : {})
          }
        }
      : {}),
    ...(file.JobScriptBuildConfig ? { jobScriptBuild: scriptBuild(file.JobScriptBuildConfig) } : {}),
    ...(file.JobScriptTemplate ? { jobScriptTemplate: file.JobScriptTemplate } : {}),
    ...(file.VerboseLogging ? { logLevel: 'debug' } : file.ErrorsOnlyLogging ? { logLevel: 'error' } : {})
  }
}

/** Address and port stand apart there; a unix socket has no port. */
const endpoint = (address: string, port: string | undefined): string =>
  address.startsWith('unix://') || !port ? address : `${address.replace(/\/$/, '')}:${port}`

const scriptBuild = (config: NonNullable<ReferenceFile['JobScriptBuildConfig']>): ScriptBuildConfig =>
  ({
    SingularityHubProxy: config.singularity_hub,
    ApptainerOptions: config.apptainer_options,
    Volumes: config.volumes_options
  }) as ScriptBuildConfig
