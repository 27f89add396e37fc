// What Tidewatch would have done, in figures beside what was done.
import { labelled, type Frame } from '../../chart/frame';
import { figure, formatValue, UNKNOWN } from '../../format/units';
import { useWords } from '../../i18n';
import { Panel } from '../../ui/Panel';
import { courseOf, type Course } from './course';

export function Shadow({ load, replicas, perReplica }: { load: Frame; replicas: Frame; perReplica: number | null }) {
  const { t, locale } = useWords();
  const actual = labelled(replicas, t('scaling.wanted'));
  const decided = labelled(replicas, t('scaling.decided'));
  const demand = labelled(load, t('scaling.load'))?.values ?? null;
  const was = actual && decided ? courseOf(actual, replicas, [decided], demand, perReplica) : null;
  const would = actual && decided ? courseOf(decided, replicas, [actual], demand, perReplica) : null;
  if (!was || !would) {
    return (
      <Panel title={t('shadow.title')}>
        <p className="hint pad">{t('shadow.none')}</p>
      </Panel>
    );
  }
  const rows: [string, (course: Course) => string][] = [
    [t('shadow.hours'), (course) => figure(course.replicaHours, locale)],
    [t('shadow.changes'), (course) => figure(course.changes, locale)],
    [t('shadow.short'), (course) => (course.shortRatio === null ? UNKNOWN : formatValue(course.shortRatio, 'ratio', locale))],
  ];
  const saved = was.replicaHours > 0 ? 1 - would.replicaHours / was.replicaHours : 0;
  const key = saved > 0.005 ? 'shadow.less' : saved < -0.005 ? 'shadow.more' : 'shadow.same';
  return (
    <Panel title={t('shadow.title')} note={t('shadow.note')}>
      <p className="pad">{t(key, { part: formatValue(Math.abs(saved), 'ratio', locale) })}</p>
      <div className="table-box">
        <table className="table">
          <thead>
            <tr>
              <th scope="col">{t('shadow.measure')}</th>
              <th scope="col" className="figure">
                {t('shadow.was')}
              </th>
              <th scope="col" className="figure">
                {t('shadow.would')}
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map(([name, of]) => (
              <tr key={name}>
                <td>{name}</td>
                <td className="figure">{of(was)}</td>
                <td className="figure">{of(would)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}
