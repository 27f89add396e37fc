// What holds scaling now, when the calendar will, and who turned which switch, and why.
import { withParams } from '../../api/client';
import type { AuditLine, FreezeWindow, ScaledService } from '../../api/types';
import { useApi } from '../../api/useApi';
import { useWords, type Translate } from '../../i18n';
import { useTime } from '../../time/TimeContext';
import { dayTime } from '../../format/time';
import { scalingPath, To } from '../../ui/links';
import { Mark } from '../../ui/Mark';
import { Empty, Panel, Ready } from '../../ui/Panel';
import { Table, type Column } from '../../ui/Table';
import type { ScalingData } from '../Autoscaling';
import { Time } from '../parts';
import { closedWord, HeldLines, holdsOf } from './held';
import { policyPath } from './paths';
import { PauseButton, UnfreezeButton } from './Switches';

export function Holds({ data, reload }: { data: ScalingData; reload: () => void }) {
  const { t } = useWords();
  const audit = useApi<{ changes: AuditLine[] }>(withParams('/api/v1/scaling/audit', { limit: 200 }));
  const changed = () => {
    reload();
    audit.reload();
  };
  const held = data.services.filter((service) => holdsOf(service.held, t).length > 0);
  return (
    <>
      <Panel title={t('holds.now')}>
        {held.length === 0 ? (
          <Empty title={t(data.stopped ? 'holds.only_stop' : 'holds.none')} text={t('holds.none_text')} />
        ) : (
          <ul className="holds">
            {held.map((service) => (
              <HeldService key={`${service.cluster} ${service.service}`} service={service} reload={changed} />
            ))}
          </ul>
        )}
      </Panel>
      <Panel title={t('holds.windows')} note={t('holds.windows_note')}>
        <Windows rows={data.freeze_windows} />
      </Panel>
      <Panel title={t('holds.history')} note={t('holds.history_note')}>
        <Ready loaded={audit}>{(loaded) => <History lines={loaded.changes} />}</Ready>
      </Panel>
    </>
  );
}

function HeldService({ service, reload }: { service: ScaledService; reload: () => void }) {
  const { paused } = service.held;
  return (
    <li data-row tabIndex={-1}>
      <To path={scalingPath(service.service)} className="name">
        {service.service}
      </To>
      <div className="holds-why">
        <HeldLines service={service} />
      </div>
      <div className="holds-actions">
        {paused.in && <PauseButton service={service} direction="in" onDone={reload} />}
        {paused.out && <PauseButton service={service} direction="out" onDone={reload} />}
        <UnfreezeButton service={service} onDone={reload} />
      </div>
    </li>
  );
}

function Windows({ rows }: { rows: FreezeWindow[] }) {
  const { t, locale } = useWords();
  const { utc } = useTime();
  const now = Date.now();
  const time = (ms: number | null) => (ms === null ? '–' : dayTime(ms, { locale, utc }));
  const columns: Column<FreezeWindow>[] = [
    { id: 'name', title: t('column.name'), render: (row) => <span className="name">{row.name}</span>, sort: (row) => row.name },
    {
      id: 'state',
      title: t('column.state'),
      render: (row) =>
        row.open ? (
          <Mark kind="muted" word={t('window.open')} />
        ) : row.to_ms !== null && row.to_ms <= now ? (
          <span className="unknown">{t('window.over')}</span>
        ) : (
          <Mark kind="ok" word={t('window.closed')} />
        ),
      sort: (row) => (row.open ? 0 : 1),
    },
    { id: 'closes', title: t('window.closes'), render: (row) => t(`window.closes.${closedWord(row.closes) ?? 'none'}`) },
    { id: 'services', title: t('nav.services'), render: (row) => row.services.join(', ') || t('window.all'), grow: true, wideOnly: true },
    {
      id: 'when',
      title: t('window.when'),
      render: (row) => (row.start ? weekly(row, t) : t('window.once')),
      wideOnly: true,
    },
    {
      id: 'from',
      title: t('window.span'),
      render: (row) => t('window.from_to', { from: time(row.from_ms), to: time(row.to_ms) }),
      sort: (row) => row.from_ms,
    },
  ];
  return (
    <Table
      name="windows"
      label={t('holds.windows')}
      columns={columns}
      rows={rows}
      rowKey={(row) => row.name}
      order="from"
      empty={<Empty title={t('holds.no_windows')} text={t('holds.no_windows_text')} />}
    />
  );
}

/** Days and times of a weekly window: Mon–Fri 23:30–00:30 Asia/Shanghai. */
function weekly(row: FreezeWindow, t: Translate): string {
  const days = row.days.length === 7 ? t('window.daily') : row.days.map((day) => t(`weekday.${day}`)).join(' ');
  return `${days} ${row.start}–${row.end} ${row.time_zone}`;
}

function History({ lines }: { lines: AuditLine[] }) {
  const { t, has } = useWords();
  if (lines.length === 0) return <Empty title={t('holds.no_history')} text={t('holds.no_history_text')} />;
  const what = (line: AuditLine) => {
    const exact = `audit.${line.action}.${line.facts}`;
    if (has(exact)) return t(exact);
    const key = `audit.${line.action}`;
    return has(key) ? t(key, { facts: line.facts }) : `${line.action} ${line.facts}`;
  };
  const subject = (line: AuditLine) => {
    if (line.subject === '') return null;
    if (line.action.startsWith('scaling.policy.')) return <To path={policyPath(line.subject)}>{line.subject}</To>;
    if (line.action === 'scaling.approve') return t('audit.decision', { id: line.subject });
    return <To path={scalingPath(line.subject)}>{line.subject}</To>;
  };
  return (
    <ol className="changes">
      {lines.map((line, at) => (
        <li key={`${line.time_ms} ${at}`} data-row tabIndex={-1}>
          <Time ms={line.time_ms} />
          <span className="tag">{line.actor}</span>
          <span className="name">{subject(line)}</span>
          <p>
            {what(line)}
            {line.why && <span className="unknown"> · {line.why}</span>}
          </p>
        </li>
      ))}
    </ol>
  );
}
