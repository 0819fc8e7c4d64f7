export { compile } from './plan/compile.ts'
export { describePlan } from './plan/describe.ts'
export { elsewhere } from './plan/elsewhere.ts'
export { explainRefusals } from './plan/findings.ts'
export { redactPlan } from './plan/redact.ts'
export { defaultSitePolicy, SitePolicy } from './plan/policy.ts'
export { isWhole, parseQuantity, toMillis, toUnits } from './plan/quantity.ts'
export { writeVolumes } from './jobs/volume-writer.ts'
export { isAbandoned, readJobState } from './jobs/job-state.ts'
export { DEFAULT_PATH, renderJob } from './supervisor/render-job.ts'
export { shellQuote, shellWords } from './supervisor/quote.ts'
export { supervisorPath, writeJob } from './supervisor/write-job.ts'
export type { ContainerRecord, JobState, LastAttempt } from './jobs/job-state.ts'
export type { JobFile, RenderOptions } from './supervisor/render-job.ts'
export type { WriteOptions } from './supervisor/write-job.ts'
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
