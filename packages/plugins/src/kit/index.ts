export { compile } from './plan/compile.ts'
export { describePlan } from './plan/describe.ts'
export { elsewhere } from './plan/elsewhere.ts'
export { explainRefusals } from './plan/findings.ts'
export { redactPlan } from './plan/redact.ts'
export { defaultSitePolicy, SitePolicy } from './plan/policy.ts'
export { writeVolumes } from './jobs/volume-writer.ts'
export { isAbandoned, readJobState } from './jobs/job-state.ts'
export { openLog, type LogOptions } from './jobs/log-reader.ts'
export { DEFAULT_PATH } from './runtimes/variables.ts'
export { renderJob } from './supervisor/render-job.ts'
export { shellQuote, shellWords } from './supervisor/quote.ts'
export { writeJob } from './supervisor/write-job.ts'
export type { ContainerRecord, JobState, LastAttempt } from './jobs/job-state.ts'
export type { JobFile, RenderOptions } from './supervisor/render-job.ts'
export type { WriteOptions } from './supervisor/write-job.ts'
export { policyOf, prepareJob } from './jobs/prepare-job.ts'
export { supervisorProgram } from './supervisor/write-job.ts'
export { buildPluginServer } from './server/build-plugin-server.ts'
export { loadPluginConfig, pluginConfigSchema, resolvePluginConfig } from './server/config.ts'
export { preflight } from './server/preflight.ts'
export { startPlugin } from './server/start-plugin.ts'
export { CallHome, errandBy, type Errand } from './streams/call-home.ts'
export { CallHomeOptions } from './streams/call-home-options.ts'
export { hubArgv } from './streams/hub.ts'
export { hubAccess } from './streams/hub-access.ts'
export { jobStreams } from './streams/job-streams.ts'
export { localAccess } from './streams/local-access.ts'
export { JobKeeper } from './jobs/job-keeper.ts'
export type { LiveProcess } from './streams/hub.ts'
export type { HubAccess, HubAccessOptions, Way } from './streams/hub-access.ts'
export type { JobAccess, Started } from './streams/job-streams.ts'
export type { PreparedJob } from './jobs/prepare-job.ts'
export type { JobKeeperOptions } from './jobs/job-keeper-options.ts'
export type { PluginServerOptions } from './server/build-plugin-server.ts'
export type { LoadPluginConfig, PluginConfig, PluginConfigInput } from './server/config.ts'
export type { RunningPlugin, StartPluginOptions } from './server/start-plugin.ts'
export type {
  AttachOptions,
  Backend,
  BackendContext,
  BackendModule,
  BackendState,
  Check,
  ContainerProcess,
  ExecOptions,
  Job,
  Launch,
  Rendered,
  Streams,
  SubmittedJob,
  TerminalSize
} from './backend.ts'
export type {
  Compiled,
  Notice,
  Plan,
  PlannedAction,
  PlannedContainer,
  PlannedFile,
  PlannedMount,
  PlannedPod,
  PlannedProbe,
  PlannedResources,
  PlannedVolume,
  Refusal
} from './plan/plan.ts'
