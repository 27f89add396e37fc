// What fires now, what fired, which rules watch, and the tickets that came of it.
import { navigate } from '../router';
import { withParams } from '../api/client';
import { useLive } from '../api/live';
import type { Alert, Rule, RuleGroup, Ticket } from '../api/types';
import { useApi } from '../api/useApi';
import { formatValue, seconds } from '../format/units';
import { useWords } from '../i18n';
import { useTime } from '../time/TimeContext';
import { explorePath, ticketPath, To, useHref, useParam } from '../ui/links';
import { Mark } from '../ui/Mark';
import { Empty, Panel, Ready } from '../ui/Panel';
import { Table, type Column } from '../ui/Table';
import { Tabs, useTab } from '../ui/Tabs';
import { AlertList, LabelChips, Sentence, ServiceLink, Time } from './parts';
import { Filter } from './Services';
import { severityMark } from './severity';
import { TicketMark } from './Ticket';

const VIEWS = ['firing', 'tickets', 'history', 'rules'] as const;

export function Alerts() {
  const { t } = useWords();
  const rules = useApi<{ groups: RuleGroup[] }>('/api/v1/alerting/rules');
  const tickets = useApi<{ tickets: Ticket[] }>(withParams('/api/v1/tickets', { limit: 200 }));
  useLive(['alert'], () => {
    rules.reload();
    tickets.reload();
  });
  const view = useTab(VIEWS);
  const alerts = rules.data?.groups.flatMap((group) => group.rules.flatMap((rule) => rule.alerts)) ?? [];
  const firing = alerts.filter((alert) => alert.state === 'firing');
  const pending = alerts.filter((alert) => alert.state === 'pending');
  const open = tickets.data?.tickets.filter((ticket) => ticket.state === 'open' || ticket.state === 'acknowledged') ?? [];
  const critical = firing.some((alert) => severityMark(alert.labels.severity) === 'critical');
  return (
    <>
      {rules.data && (
        <Sentence kind={critical ? 'critical' : firing.length ? 'warning' : 'ok'}>
          {firing.length
            ? t('alerts.firing', { count: firing.length, rule: firing[0]?.rule, tickets: open.length })
            : t('alerts.quiet', { count: rules.data.groups.reduce((sum, group) => sum + group.rules.filter((rule) => rule.alerting).length, 0) })}
        </Sentence>
      )}
      <Tabs
        label={t('nav.alerts')}
        tabs={VIEWS.map((id) => ({
          id,
          title: t(`alerts.view.${id}`),
          count: id === 'firing' ? firing.length : id === 'tickets' ? open.length : undefined,
        }))}
      />
      {view === 'firing' && <Ready loaded={rules}>{() => <Firing firing={firing} pending={pending} />}</Ready>}
      {view === 'tickets' && <Ready loaded={tickets}>{(data) => <Tickets rows={data.tickets} />}</Ready>}
      {view === 'history' && <History />}
      {view === 'rules' && <Ready loaded={rules}>{(data) => <Rules groups={data.groups} />}</Ready>}
    </>
  );
}

function Firing({ firing, pending }: { firing: Alert[]; pending: Alert[] }) {
  const { t } = useWords();
  // By cause: all alerts of one rule stand together.
  const causes = [...new Set(firing.map((alert) => alert.rule))];
  return (
    <>
      {firing.length === 0 && (
        <Panel>
          <Empty title={t('alerts.none.title')} text={t('alerts.none.text')} />
        </Panel>
      )}
      {causes.map((rule) => {
        const group = firing.filter((alert) => alert.rule === rule);
        return (
          <Panel key={rule} title={rule} note={t('count.alerts', { count: group.length })}>
            <AlertList alerts={group} headed />
          </Panel>
        );
      })}
      {pending.length > 0 && (
        <Panel title={t('alerts.pending')} note={t('alerts.pending_note')}>
          <AlertList alerts={pending} />
        </Panel>
      )}
    </>
  );
}

function History() {
  const { t, locale } = useWords();
  const { range } = useTime();
  const loaded = useApi<{ alerts: Alert[] }>(withParams('/api/v1/alerts/history', { from_ms: range.fromMs, to_ms: range.toMs, limit: 500 }));
  const columns: Column<Alert>[] = [
    { id: 'time', title: t('column.since'), render: (row) => <Time ms={row.fired_at_ms ?? row.active_at_ms} />, sort: (row) => row.fired_at_ms ?? row.active_at_ms },
    {
      id: 'state',
      title: t('column.state'),
      render: (row) => (
        <Mark kind={row.state === 'firing' ? severityMark(row.labels.severity) : row.state === 'resolved' ? 'ok' : 'unknown'} word={t(`alert.state.${row.state}`)} />
      ),
      sort: (row) => row.state,
    },
    { id: 'rule', title: t('column.rule'), render: (row) => <b>{row.rule}</b>, sort: (row) => row.rule },
    {
      id: 'lasted',
      title: t('column.lasted'),
      render: (row) => (row.resolved_at_ms === null ? '–' : seconds((row.resolved_at_ms - (row.fired_at_ms ?? row.active_at_ms ?? row.resolved_at_ms)) / 1000, locale)),
      figure: true,
    },
    {
      id: 'value',
      title: t('column.value'),
      render: (row) => <To path={explorePath(row.expression)}>{formatValue(Number(row.value), 'none', locale)}</To>,
      figure: true,
      wideOnly: true,
    },
    { id: 'labels', title: t('column.labels'), render: (row) => <LabelChips labels={row.labels} without={['alertname']} />, grow: true, wideOnly: true },
    {
      id: 'ticket',
      title: t('column.ticket'),
      render: (row) => (row.ticket_id === null ? '–' : <To path={ticketPath(row.ticket_id)}>#{row.ticket_id}</To>),
      figure: true,
    },
  ];
  return (
    <Ready loaded={loaded}>
      {({ alerts }) => (
        <Panel title={t('alerts.view.history')} note={t('count.alerts', { count: alerts.length })}>
          <AlertTimeline alerts={alerts} />
          <Table
            name="history"
            label={t('alerts.view.history')}
            columns={columns}
            rows={alerts}
            rowKey={(row) => `${row.rule} ${row.fingerprint} ${row.active_at_ms}`}
            order="-time"
            empty={<Empty title={t('alerts.no_history.title')} text={t('alerts.no_history.text')} />}
          />
        </Panel>
      )}
    </Ready>
  );
}

/** Rules shown in the timeline; the table has all. */
const TIMELINE_RULES = 8;

/** One line per rule; a bar for as long as it fired. */
function AlertTimeline({ alerts }: { alerts: Alert[] }) {
  const { t } = useWords();
  const { range } = useTime();
  const rules = [...new Set(alerts.map((alert) => alert.rule))].slice(0, TIMELINE_RULES);
  if (rules.length === 0) return null;
  const x = (ms: number) => Math.min(1000, Math.max(0, ((ms - range.fromMs) / (range.toMs - range.fromMs)) * 1000));
  return (
    <div className="timeline">
      {rules.map((rule) => {
        const bars = alerts.filter((alert) => alert.rule === rule && alert.fired_at_ms !== null);
        return (
          <div key={rule}>
            <span className="name" title={rule}>
              {rule}
            </span>
            <svg viewBox="0 0 1000 12" preserveAspectRatio="none" role="img" aria-label={t('alerts.timeline', { rule, count: bars.length })}>
              <rect className="timeline-ground" x="0" y="5" width="1000" height="2" />
              {bars.map((alert) => {
                const from = x(alert.fired_at_ms ?? range.fromMs);
                const to = x(alert.resolved_at_ms ?? range.toMs);
                return (
                  <rect
                    key={`${alert.fingerprint} ${alert.active_at_ms}`}
                    className={`timeline-bar ${severityMark(alert.labels.severity)}`}
                    x={from}
                    width={Math.max(3, to - from)}
                    y="1"
                    height="10"
                  />
                );
              })}
            </svg>
          </div>
        );
      })}
    </div>
  );
}

const ORDER = { open: 0, acknowledged: 1, resolved: 2, closed: 3 };

function Tickets({ rows }: { rows: Ticket[] }) {
  const { t, say } = useWords();
  const href = useHref();
  const columns: Column<Ticket>[] = [
    { id: 'id', title: '#', render: (row) => <To path={ticketPath(row.id)}>#{row.id}</To>, sort: (row) => row.id },
    { id: 'state', title: t('column.state'), render: (row) => <TicketMark ticket={row} />, sort: (row) => ORDER[row.state] },
    { id: 'title', title: t('column.title'), render: (row) => <span className="name" title={say(row.title)}>{say(row.title)}</span>, sort: (row) => row.title, grow: true },
    { id: 'service', title: t('column.service'), render: (row) => <ServiceLink service={row.service} />, sort: (row) => row.service, wideOnly: true },
    { id: 'owner', title: t('column.owner'), render: (row) => row.owner || <span className="unknown">{t('ticket.nobody')}</span>, sort: (row) => row.owner, wideOnly: true },
    { id: 'opened', title: t('column.opened'), render: (row) => <Time ms={row.opened_at_ms} relative />, sort: (row) => row.opened_at_ms, figure: true },
    { id: 'updated', title: t('column.updated'), render: (row) => <Time ms={row.updated_at_ms} relative />, sort: (row) => row.updated_at_ms, figure: true, wideOnly: true },
  ];
  return (
    <Panel title={t('alerts.view.tickets')} note={t('count.rows', { count: rows.length })}>
      <Table
        name="tickets"
        label={t('alerts.view.tickets')}
        columns={columns}
        rows={rows}
        rowKey={(row) => String(row.id)}
        order="state"
        onOpen={(row) => navigate(href(ticketPath(row.id)))}
        empty={<Empty title={t('tickets.none.title')} text={t('tickets.none.text')} />}
      />
    </Panel>
  );
}

function Rules({ groups }: { groups: RuleGroup[] }) {
  const { t, locale } = useWords();
  const [filter, setFilter] = useParam('filter');
  const columns: Column<Rule>[] = [
    {
      id: 'name',
      title: t('column.rule'),
      render: (row) => (
        <span className="name" title={row.name}>
          <b>{row.name}</b>
        </span>
      ),
      sort: (row) => row.name,
    },
    {
      id: 'state',
      title: t('column.state'),
      render: (row) => {
        const firing = row.alerts.filter((alert) => alert.state === 'firing').length;
        if (row.health === 'err') return <Mark kind="critical" word={t('rule.failed')} />;
        if (firing) return <Mark kind={severityMark(row.labels.severity)} word={t('rule.firing', { count: firing })} />;
        if (row.health !== 'ok') return <Mark kind="unknown" word={t('rule.waiting')} />;
        return <Mark kind="ok" word={t(row.alerting ? 'rule.quiet' : 'rule.recording')} />;
      },
      sort: (row) => (row.health === 'err' ? 0 : row.alerts.length ? 1 : 2),
    },
    {
      id: 'query',
      title: t('column.query'),
      render: (row) => (
        <>
          <To path={explorePath(row.query)} title={row.query} className="name">
            <code>{row.query}</code>
          </To>
          {row.last_error && <p className="form-error">{row.last_error}</p>}
        </>
      ),
      grow: true,
      wideOnly: true,
    },
    { id: 'for', title: t('column.for'), render: (row) => (row.alerting ? seconds(row.for_seconds, locale) : '–'), figure: true, wideOnly: true },
    { id: 'evaluated', title: t('column.evaluated'), render: (row) => <Time ms={row.last_evaluation_ms} relative />, figure: true, wideOnly: true },
    { id: 'took', title: t('column.took'), render: (row) => (row.evaluation_seconds === null ? '–' : seconds(row.evaluation_seconds, locale)), figure: true, wideOnly: true },
  ];
  if (groups.length === 0) {
    return (
      <Panel>
        <Empty title={t('rules.none.title')} text={t('rules.none.text')} />
      </Panel>
    );
  }
  return (
    <>
      <div className="toolbar">
        <Filter value={filter} onChange={setFilter} />
      </div>
      {groups.map((group) => {
        const rows = group.rules.filter((rule) => `${rule.name} ${rule.query}`.toLowerCase().includes(filter.toLowerCase()));
        if (rows.length === 0) return null;
        return (
          <Panel
            key={`${group.file} ${group.name}`}
            title={group.name}
            note={
              <>
                <code>{group.file}</code> · {t('rules.every', { interval: seconds(group.interval_seconds, locale) })}
              </>
            }
          >
            <Table name="rules" label={group.name} columns={columns} rows={rows} rowKey={(row) => `${row.name} ${row.query} ${JSON.stringify(row.labels)}`} />
          </Panel>
        );
      })}
    </>
  );
}
