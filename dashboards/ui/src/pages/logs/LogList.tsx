// The lines: one row high, opened to their fields, drawn only where one looks; and the same list live.
import { memo, useCallback, useEffect, useRef, useState } from 'react';
import { getJson, withParams } from '../../api/client';
import type { LogRow } from '../../api/types';
import { useLoad } from '../../api/useApi';
import { clockTime, dayTime, fullTime } from '../../format/time';
import { count } from '../../format/units';
import { useWords } from '../../i18n';
import { useTime } from '../../time/TimeContext';
import { Icon } from '../../ui/Icon';
import { hostPath, servicePath, To } from '../../ui/links';
import { Empty, Panel, Ready } from '../../ui/Panel';
import { useVirtual } from '../../ui/useVirtual';
import { bandOf, patternNumber } from './query';

/** Lines per request. */
const PAGE = 500;
/** Lines kept while following; the oldest go. */
const TAIL_KEPT = 2000;
/** New lines are drawn this often at most. */
const TAIL_DRAW_MS = 250;

type OnCondition = (name: string, value: string, not?: boolean) => void;

interface Answer {
  records: LogRow[];
  next: string | null;
}

interface SearchProps {
  params: Record<string, string | number>;
  onCondition: OnCondition;
}

export function LogSearchList({ params, onCondition }: SearchProps) {
  const { t, locale } = useWords();
  // While someone reads, the lines stand still; at the top with nothing open they follow the time.
  const [reading, setReading] = useState(false);
  const held = useRef(params);
  if (!reading) held.current = params;
  const path = withParams('/api/v1/logs/search', { ...held.current, limit: PAGE, direction: 'backward' });
  const loaded = useLoad(path, (signal) => getJson<Answer>(path, signal), true);
  const [further, setFurther] = useState<LogRow[]>([]);
  const [next, setNext] = useState<string | null>(null);
  const busy = useRef(false);
  useEffect(() => {
    setFurther([]);
    setNext(loaded.data?.next ?? null);
  }, [loaded.data]);
  const more = useCallback(() => {
    if (!next || busy.current) return;
    busy.current = true;
    getJson<Answer>(`${path}&after=${encodeURIComponent(next)}`)
      .then((answer) => {
        setFurther((before) => [...before, ...answer.records]);
        setNext(answer.next);
      })
      // What is there stays; scrolling on asks again.
      .catch(() => undefined)
      .finally(() => (busy.current = false));
  }, [next, path]);
  return (
    <Panel className="log-panel">
      <Ready loaded={loaded} rows={12}>
        {({ records }) => {
          const rows = [...records, ...further];
          if (rows.length === 0) return <Empty title={t('logs.empty.title')} text={t('logs.empty.text')} />;
          return (
            <>
              <LogRows rows={rows} onCondition={onCondition} onEnd={more} onReading={setReading} />
              <p className="log-foot">{t(next ? 'logs.shown_more' : 'logs.shown', { count: rows.length, n: count(rows.length, locale) })}</p>
            </>
          );
        }}
      </Ready>
    </Panel>
  );
}

/** Lines as they arrive. */
export function LogTail({ query, onCondition }: { query: string; onCondition: OnCondition }) {
  const { t, locale } = useWords();
  const [rows, setRows] = useState<LogRow[]>([]);
  const [paused, setPaused] = useState(false);
  const [waiting, setWaiting] = useState(0);
  const [connected, setConnected] = useState(false);
  const arrived = useRef<LogRow[]>([]);
  const stopped = useRef(false);
  stopped.current = paused;

  useEffect(() => {
    arrived.current = [];
    setRows([]);
    const source = new EventSource(withParams('/api/v1/logs/tail', { q: query }));
    source.onopen = () => setConnected(true);
    source.onerror = () => setConnected(false);
    source.addEventListener('record', (event) => {
      arrived.current.push(JSON.parse((event as MessageEvent<string>).data) as LogRow);
      if (arrived.current.length > TAIL_KEPT) arrived.current.shift();
    });
    const timer = window.setInterval(() => {
      if (stopped.current) return setWaiting(arrived.current.length);
      if (arrived.current.length === 0) return;
      const fresh = arrived.current.reverse();
      arrived.current = [];
      setWaiting(0);
      setRows((before) => [...fresh, ...before].slice(0, TAIL_KEPT));
    }, TAIL_DRAW_MS);
    return () => {
      source.close();
      window.clearInterval(timer);
    };
  }, [query]);

  return (
    <Panel
      className="log-panel"
      title={t('logs.live')}
      note={t(paused ? 'logs.live_paused' : connected ? 'logs.live_on' : 'logs.live_connecting', { count: waiting, n: count(waiting, locale) })}
      actions={
        <button className="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
          <Icon name={paused ? 'play' : 'pause'} />
          {t(paused ? 'logs.resume' : 'logs.pause')}
        </button>
      }
    >
      {rows.length === 0 ? <Empty title={t('logs.live_empty')} /> : <LogRows rows={rows} onCondition={onCondition} />}
    </Panel>
  );
}

const ROW_PX = 24;
/** The next page is asked for this many rows before the end. */
const AHEAD = 60;

interface RowsProps {
  rows: LogRow[];
  onCondition: OnCondition;
  onEnd?: () => void;
  /** Told whether someone has scrolled away from the top or opened a line. */
  onReading?: (reading: boolean) => void;
}

function LogRows({ rows, onCondition, onEnd, onReading }: RowsProps) {
  const { t } = useWords();
  const box = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const keyOf = useCallback((at: number) => rows[at]?.cursor ?? String(at), [rows]);
  const { items, totalPx, scrolled, measure } = useVirtual({ count: rows.length, rowPx: ROW_PX, box, keyOf });
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (last >= rows.length - AHEAD) onEnd?.();
  }, [last, rows.length, onEnd]);
  useEffect(() => onReading?.(scrolled || open.size > 0), [scrolled, open, onReading]);
  const toggle = useCallback(
    (cursor: string) =>
      setOpen((before) => {
        const next = new Set(before);
        if (!next.delete(cursor)) next.add(cursor);
        return next;
      }),
    [],
  );
  return (
    <div className="log-rows" ref={box} role="group" aria-label={t('logs.view.lines')} tabIndex={0}>
      <div className="log-space" ref={(space) => void space?.style.setProperty('height', `${totalPx}px`)}>
        {items.map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          return (
            <div
              key={row.cursor}
              className="log-item"
              ref={(element) => {
                if (!element) return;
                element.style.setProperty('transform', `translateY(${item.start}px)`);
                measure(item.index, element);
              }}
            >
              <Row row={row} open={open.has(row.cursor)} onToggle={toggle} onCondition={onCondition} />
            </div>
          );
        })}
      </div>
    </div>
  );
}

const Row = memo(function Row({ row, open, onToggle, onCondition }: { row: LogRow; open: boolean; onToggle: (cursor: string) => void; onCondition: OnCondition }) {
  const { locale, t } = useWords();
  const { utc, range } = useTime();
  const clock = { locale, utc };
  const long = range.toMs - range.fromMs > 86_400_000;
  return (
    <>
      <button className="log-row" data-row aria-expanded={open} onClick={() => onToggle(row.cursor)}>
        <time>{long ? dayTime(row.time_ms, clock) : clockTime(row.time_ms, clock, true)}</time>
        <span className={`severity severity-${bandOf(row.severity)}`}>{t(`severity.${row.severity}`)}</span>
        <span className="log-service">{row.service}</span>
        <span className="log-text">{row.body}</span>
      </button>
      {open && <Detail row={row} onCondition={onCondition} />}
    </>
  );
});

/** The lines around one are looked up in this much time on either side. */
const AROUND_MS = 30_000;

function Detail({ row, onCondition }: { row: LogRow; onCondition: OnCondition }) {
  const { t, locale } = useWords();
  const { utc } = useTime();
  const pairs = [...Object.entries(row.labels), ...Object.entries(row.fields).map(([name, value]) => [name, String(value)])];
  const around = `/logs?${new URLSearchParams({ q: row.service ? `service:"${row.service}"` : '', from: String(row.time_ms - AROUND_MS), to: String(row.time_ms + AROUND_MS) })}`;
  return (
    <div className="log-detail">
      <pre>{row.body}</pre>
      <table className="plain">
        <tbody>
          <tr>
            <th scope="row">{t('column.time')}</th>
            <td>{fullTime(row.time_ms, { locale, utc })}</td>
            <td />
          </tr>
          {[['service', row.service], ['severity', row.severity], ...pairs, ...(row.pattern_id ? [['pattern_id', patternNumber(row.pattern_id)]] : [])].map(([name = '', value = '']) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{name === 'service' && value ? <To path={servicePath(value)}>{value}</To> : name === 'host' ? <To path={hostPath(value)}>{value}</To> : value}</td>
              <td className="log-do">
                <button className="link" onClick={() => onCondition(name, value)} aria-label={t('logs.only', { name, value })}>
                  +
                </button>
                <button className="link" onClick={() => onCondition(name, value, true)} aria-label={t('logs.without', { name, value })}>
                  −
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <To path={around}>{t('logs.around')}</To>
    </div>
  );
}
