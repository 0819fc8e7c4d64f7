import type { Test } from 'tap'

/**
 * For tests that need what a machine may lack; call it before the first assertion. Where `reason` is given, `t`
 * is skipped with it, or fails under REQUIRE_REAL=1. Returns whether the test may go on.
 */
export function requireReal(t: Pick<Test, 'plan' | 'fail'>, reason: string | undefined): boolean {
  if (reason === undefined) return true
  if (process.env.REQUIRE_REAL === '1') t.fail(`REQUIRE_REAL=1, but ${reason}`)
  else t.plan(0, reason)
  return false
}
