import type { MarkKind } from '../ui/Mark';

/** The mark of an alert's or ticket's severity. */
export function severityMark(severity: string | undefined): MarkKind {
  if (severity === 'critical' || severity === 'page' || severity === 'error') return 'critical';
  return severity === 'info' || severity === 'none' ? 'unknown' : 'warning';
}
