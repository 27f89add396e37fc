import type { MarkKind } from '../ui/Mark';
import { UNKNOWN } from '../format/units';
import type { Translate } from '../i18n';

/** The mark of an alert's or ticket's severity. */
export function severityMark(severity: string | undefined): MarkKind {
  if (severity === 'critical' || severity === 'page' || severity === 'error') return 'critical';
  return severity === 'info' || severity === 'none' ? 'unknown' : 'warning';
}

/** The word for a severity; its own when the catalogue has none. */
export function severityWord(severity: string, t: Translate, has: (key: string) => boolean): string {
  if (severity === '') return UNKNOWN;
  return has(`severity.${severity}`) ? t(`severity.${severity}`) : severity;
}
