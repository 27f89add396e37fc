// One host: utilisation, saturation and errors per resource, containers on it, filesystems with the day they are full.
import { useParams } from '../router';
import type { ContainerRow, Filesystem, HostDetail } from '../api/types';
import { withParams } from '../api/client';
import { useApi } from '../api/useApi';
import { Board } from '../chart/Board';
import { formatValue, seconds } from '../format/units';
import { useWords } from '../i18n';
import { useTime } from '../time/TimeContext';
import { logsPath, To } from '../ui/links';
import { Mark } from '../ui/Mark';
import { Panel, Ready } from '../ui/Panel';
import { Table, type Column } from '../ui/Table';
import { Ratio } from './Hosts';
import { AlertList, Facts, Sentence, ServiceLink, Time, Value } from './parts';

export function Host() {
  const { host = '' } = useParams();
  const { range } = useTime();
  const loaded = useApi<HostDetail>(withParams(`/api/v1/hosts/${encodeURIComponent(host)}`, { from_ms: range.fromMs, to_ms: range.toMs }));
  return (
    <Ready loaded={loaded} rows={10}>
      {(data) => <Body data={data} />}
    </Ready>
  );
}

function Body({ data }: { data: HostDetail }) {
  const { t, locale, say } = useWords();
  const row = data.host;
  return (
    <>
      <Sentence kind={row.health} aside={<To path={logsPath(`host:"${row.host}"`)}>{t('service.logs')}</To>}>
        <b className="subject">{row.host}</b> {say(row.health_reason) || t(`health.${row.health}`)}
      </Sentence>
      <Facts
        facts={[
          [t('column.cpu'), <Ratio key="v" value={row.cpu_ratio} />],
          [t('column.memory'), <Ratio key="v" value={row.memory_ratio} />],
          [t('column.disk'), <Ratio key="v" value={row.disk_ratio} />],
          [t('column.pressure'), <Value key="v" value={row.pressure_ratio} unit="ratio" />],
          [t('column.load'), <Value key="v" value={row.load1} unit="none" />],
          [t('column.size'), t('host.size', { cores: row.cores ?? '?', memory: formatValue(row.memory_bytes, 'bytes', locale) })],
          [t('column.uptime'), row.uptime_seconds === null ? '–' : seconds(row.uptime_seconds, locale)],
          [t('column.os'), row.os || '–'],
        ]}
      />
      {data.alerts.length > 0 && (
        <Panel title={t('service.alerts')}>
          <AlertList alerts={data.alerts} />
        </Panel>
      )}
      <Board charts={data.charts} />
      <Panel title={t('host.containers')} note={t('count.rows', { count: data.containers.length })}>
        <Containers rows={data.containers} />
      </Panel>
      <Panel title={t('host.filesystems')}>
        <Filesystems rows={data.filesystems} />
      </Panel>
    </>
  );
}

function Containers({ rows }: { rows: ContainerRow[] }) {
  const { t } = useWords();
  const columns: Column<ContainerRow>[] = [
    { id: 'name', title: t('column.container'), render: (row) => <span className="name" title={row.id}>{row.name || row.id.slice(0, 12)}</span>, sort: (row) => row.name, grow: true },
    { id: 'service', title: t('column.service'), render: (row) => <ServiceLink service={row.service} />, sort: (row) => row.service },
    { id: 'image', title: t('column.image'), render: (row) => <code className="name">{row.image}</code>, sort: (row) => row.image, wideOnly: true },
    { id: 'cpu', title: t('column.cpu'), render: (row) => <Value value={row.cpu_cores} unit="cores" />, sort: (row) => row.cpu_cores, figure: true },
    { id: 'memory', title: t('column.memory'), render: (row) => <Value value={row.memory_bytes} unit="bytes" />, sort: (row) => row.memory_bytes, figure: true },
    { id: 'started', title: t('column.started'), render: (row) => <Time ms={row.started_at_ms} relative />, sort: (row) => row.started_at_ms, figure: true, wideOnly: true },
  ];
  return (
    <Table
      name="containers"
      label={t('host.containers')}
      columns={columns}
      rows={rows}
      rowKey={(row) => row.id}
      order="-cpu"
      empty={<p className="hint pad">{t('host.no_containers')}</p>}
    />
  );
}

/** Sooner than this a filesystem is marked. */
const SOON_DAYS = 14;

function Filesystems({ rows }: { rows: Filesystem[] }) {
  const { t } = useWords();
  const ratio = (row: Filesystem) => (row.size_bytes && row.used_bytes !== null ? row.used_bytes / row.size_bytes : null);
  const columns: Column<Filesystem>[] = [
    { id: 'mountpoint', title: t('column.mountpoint'), render: (row) => <code className="name">{row.mountpoint}</code>, sort: (row) => row.mountpoint, grow: true },
    { id: 'device', title: t('column.device'), render: (row) => <code>{row.device}</code>, wideOnly: true },
    { id: 'fstype', title: t('column.type'), render: (row) => row.fstype, wideOnly: true },
    { id: 'used', title: t('column.used'), render: (row) => <Ratio value={ratio(row)} />, sort: ratio, figure: true },
    { id: 'size', title: t('column.size'), render: (row) => <Value value={row.size_bytes} unit="bytes" />, sort: (row) => row.size_bytes, figure: true },
    {
      id: 'full',
      title: t('column.full'),
      render: (row) =>
        row.full_in_days === null ? (
          <span className="unknown">{t('host.not_filling')}</span>
        ) : (
          <Mark kind={row.full_in_days < SOON_DAYS ? 'warning' : 'ok'} word={t('host.full_in', { count: Math.round(row.full_in_days) })} />
        ),
      sort: (row) => row.full_in_days,
    },
  ];
  return (
    <Table
      name="filesystems"
      label={t('host.filesystems')}
      columns={columns}
      rows={rows}
      rowKey={(row) => row.mountpoint}
      order="-used"
      empty={<p className="hint pad">{t('host.no_filesystems')}</p>}
    />
  );
}
