// How much load a service carries, as it was learned: now, and with all that it may have.
import type { ServiceCapacity } from '../../api/types';
import { figure } from '../../format/units';
import { useWords } from '../../i18n';

export function Carries({ capacity }: { capacity: ServiceCapacity }) {
  const { t, has, locale } = useWords();
  const by = has(`capacity.by.${capacity.by}`) ? t(`capacity.by.${capacity.by}`) : capacity.by;
  const each = t('capacity.each', { each: figure(capacity.per_replica, locale), unit: capacity.unit, by });
  return (
    <span title={each}>
      {t('capacity.carries', {
        now: figure(capacity.now, locale),
        most: figure(capacity.most, locale),
        unit: capacity.unit,
        count: capacity.most_replicas,
      })}
      <small className="bounds"> {each}</small>
    </span>
  );
}
