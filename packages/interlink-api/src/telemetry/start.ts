export interface TelemetryOptions {
  /** Unless OTEL_SERVICE_NAME says another. */
  readonly serviceName: string
  /** @default process.env */
  readonly env?: NodeJS.ProcessEnv
}

export interface Telemetry {
  /** Sends what is left, for at most five seconds. */
  shutdown(): Promise<void>
}

const asking = [
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT',
  'OTEL_EXPORTER_OTLP_METRICS_ENDPOINT',
  'OTEL_TRACES_EXPORTER',
  'OTEL_METRICS_EXPORTER'
]

/**
 * Starts OpenTelemetry where the standard `OTEL_*` environment asks for it (or the reference's `ENABLE_TRACING=1` with
 * `TELEMETRY_*`); otherwise nothing is loaded and the answer is undefined. Metrics and logs are exported only when
 * their exporter is named.
 */
export async function startTelemetry(options: TelemetryOptions): Promise<Telemetry | undefined> {
  const env = options.env ?? process.env
  const wanted = { ...fromReference(env), ...pickOtel(env) }
  if (wanted.OTEL_SDK_DISABLED?.toLowerCase() === 'true') return undefined
  if (!asking.some((name) => wanted[name] && wanted[name] !== 'none')) return undefined
  const metricsAsked = Boolean(wanted.OTEL_EXPORTER_OTLP_METRICS_ENDPOINT)
  const tracesAsked = Boolean(wanted.OTEL_EXPORTER_OTLP_ENDPOINT ?? wanted.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
  // The SDK reads process.env itself, and exports metrics and logs unless told not to.
  Object.assign(process.env, {
    OTEL_SERVICE_NAME: options.serviceName,
    OTEL_TRACES_EXPORTER: tracesAsked ? 'otlp' : 'none',
    OTEL_METRICS_EXPORTER: metricsAsked ? 'otlp' : 'none',
    OTEL_LOGS_EXPORTER: 'none',
    ...wanted
  })
  const { NodeSDK } = await import('@opentelemetry/sdk-node')
  const sdk = new NodeSDK({ instrumentations: [] })
  sdk.start()
  return {
    shutdown: async () => {
      const late = new Promise<void>((resolve) => setTimeout(resolve, 5000).unref())
      await Promise.race([sdk.shutdown().catch(() => undefined), late])
    }
  }
}

const pickOtel = (env: NodeJS.ProcessEnv): Record<string, string> =>
  Object.fromEntries(
    Object.entries(env).filter(
      (entry): entry is [string, string] => entry[0].startsWith('OTEL_') && Boolean(entry[1])
    )
  )

/** The reference exports traces by OTLP over gRPC to a bare host:port. */
function fromReference(env: NodeJS.ProcessEnv): Record<string, string> {
  if (env.ENABLE_TRACING !== '1') return {}
  const certificates = {
    OTEL_EXPORTER_OTLP_CERTIFICATE: env.TELEMETRY_CA_CRT_FILEPATH,
    OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: env.TELEMETRY_CLIENT_CRT_FILEPATH,
    OTEL_EXPORTER_OTLP_CLIENT_KEY: env.TELEMETRY_CLIENT_KEY_FILEPATH
  }
  const secure = Object.values(certificates).every(Boolean)
  return {
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_EXPORTER_OTLP_ENDPOINT: `${secure ? 'https' : 'http'}://${env.TELEMETRY_ENDPOINT || 'localhost:4317'}`,
    ...(secure ? (certificates as Record<string, string>) : {})
  }
}
