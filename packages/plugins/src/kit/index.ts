export { compile } from './plan/compile.ts'
export { describePlan } from './plan/describe.ts'
export { elsewhere } from './plan/elsewhere.ts'
export { explainRefusals } from './plan/findings.ts'
export { redactPlan } from './plan/redact.ts'
export { defaultSitePolicy, SitePolicy } from './plan/policy.ts'
export { isWhole, parseQuantity, toMillis, toUnits } from './plan/quantity.ts'
export { writeVolumes } from './jobs/volume-writer.ts'
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
