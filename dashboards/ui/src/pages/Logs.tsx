// Logs: how many of which severity when, what they are about, the lines themselves, the patterns behind them.
import { useEffect, useState } from 'react';
import { withParams } from '../api/client';
import type { Facet, LogBucket } from '../api/types';
import { useApi } from '../api/useApi';
import { count } from '../format/units';
import { useWords } from '../i18n';
import { useTime } from '../time/TimeContext';
import { Icon } from '../ui/Icon';
import { useParam } from '../ui/links';
import { Failed, Panel, Ready } from '../ui/Panel';
import { Tabs, useTab } from '../ui/Tabs';
import { LogHistogram } from './logs/LogHistogram';
import { LogPatterns } from './logs/LogPatterns';
import { LogSearchList, LogTail } from './logs/LogList';
import { patternNumber, queryMistake, withCondition } from './logs/query';
import { severityWord } from './severity';

const VIEWS = ['lines', 'patterns'] as const;
const FACETS = 'service,severity,host,status,backend';

export function Logs() {
  const { t, locale } = useWords();
  const { range, spec } = useTime();
  const [query, setQuery] = useParam('q');
  const [live, setLive] = useParam('live');
  const view = useTab(VIEWS);
  const params = { q: query, from_ms: range.fromMs, to_ms: range.toMs };
  const histogram = useApi<{ buckets: LogBucket[]; step_ms: number }>(withParams('/api/v1/logs/histogram', { ...params, buckets: 60 }));
  const total = histogram.data?.buckets.reduce((sum, bucket) => sum + Object.values(bucket.counts).reduce((a, b) => a + b, 0), 0) ?? null;
  const add = (name: string, value: string, not = false) => setQuery(withCondition(query, name, value, not));
  const queryFailed = histogram.error?.kind === 'invalid' ? histogram.error : null;
  const mistake = queryFailed && queryMistake(queryFailed.message);

  return (
    <>
      <LogQueryBar
        key={query}
        query={query}
        onRun={setQuery}
        problem={mistake?.text ?? null}
        column={queryFailed?.position?.column ?? mistake?.column ?? null}
        live={live === '1'}
        onLive={(on) => setLive(on ? '1' : null)}
      />
      {live === '1' ? (
        <LogTail query={query} onCondition={add} />
      ) : queryFailed ? null : (
        <>
          <Panel
            title={t('logs.histogram')}
            note={total === null ? '' : t('logs.total', { count: total, n: count(total, locale) })}
          >
            {histogram.error && histogram.data === null ? (
              <Failed loaded={histogram} />
            ) : (
              <LogHistogram buckets={histogram.data?.buckets ?? []} stepMs={histogram.data?.step_ms ?? 0} />
            )}
          </Panel>
          <Tabs label={t('logs.view')} tabs={VIEWS.map((id) => ({ id, title: t(`logs.view.${id}`) }))} />
          {view === 'patterns' ? (
            <LogPatterns params={params} onPick={(id) => setQuery(withCondition(query, 'pattern_id', patternNumber(id), false))} />
          ) : (
            <div className="logs-body">
              <Facets params={params} onCondition={add} />
              <LogSearchList key={`${query} ${spec.from} ${spec.to}`} params={params} onCondition={add} />
            </div>
          )}
        </>
      )}
    </>
  );
}

interface BarProps {
  query: string;
  onRun: (query: string) => void;
  problem: string | null;
  column: number | null;
  live: boolean;
  onLive: (on: boolean) => void;
}

function LogQueryBar({ query, onRun, problem, column, live, onLive }: BarProps) {
  const { t } = useWords();
  const { range } = useTime();
  const [text, setText] = useState(query);
  const [focused, setFocused] = useState(false);
  const fields = useApi<{ fields: { value: string; count: number }[] }>(
    focused ? withParams('/api/v1/logs/fields', { from_ms: range.fromMs, to_ms: range.toMs }) : null,
  );
  // The word that is being typed is completed to a field's name.
  const word = /[^\s()]*$/.exec(text)?.[0] ?? '';
  const names = ['service', 'severity', 'host', ...(fields.data?.fields.map((field) => field.value) ?? [])];
  const offered = word && !/[:=<>]/.test(word) ? [...new Set(names)].filter((name) => name.startsWith(word) && name !== word).slice(0, 8) : [];
  const complete = (name: string) => setText(`${text.slice(0, text.length - word.length)}${name}:`);

  return (
    <div className={problem ? 'log-query wrong' : 'log-query'}>
      <form
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          onRun(text);
        }}
      >
        <Icon name="search" />
        <input
          data-filter
          value={text}
          aria-label={t('logs.query')}
          aria-invalid={problem !== null}
          placeholder={t('logs.placeholder')}
          spellCheck={false}
          autoComplete="off"
          onFocus={() => setFocused(true)}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={(event) => {
            const first = offered[0];
            if (event.key === 'Tab' && first && !event.shiftKey) {
              event.preventDefault();
              complete(first);
            }
          }}
        />
        {text && (
          <button type="button" className="button quiet square" aria-label={t('logs.clear')} onClick={() => onRun('')}>
            <Icon name="close" />
          </button>
        )}
        <button className="button primary">{t('logs.search')}</button>
        <button type="button" className={live ? 'button on' : 'button'} aria-pressed={live} onClick={() => onLive(!live)}>
          <Icon name={live ? 'stop' : 'play'} />
          {t(live ? 'logs.live_stop' : 'logs.live_start')}
        </button>
      </form>
      {offered.length > 0 && (
        <p className="log-offers">
          {offered.map((name) => (
            <button key={name} className="chip" onClick={() => complete(name)}>
              {name}:
            </button>
          ))}
          <span className="hint">{t('logs.tab')}</span>
        </p>
      )}
      {problem && (
        <div className="mistake" role="alert">
          <p>
            <span aria-hidden="true">■</span> {problem}
          </p>
          {column !== null && (
            <pre aria-hidden="true">
              {query}
              {'\n'}
              {' '.repeat(Math.max(0, column - 1))}^
            </pre>
          )}
        </div>
      )}
    </div>
  );
}

interface FacetsProps {
  params: Record<string, string | number>;
  onCondition: (name: string, value: string, not?: boolean) => void;
}

function Facets({ params, onCondition }: FacetsProps) {
  const { t, locale, has } = useWords();
  const loaded = useApi<{ facets: Facet[] }>(withParams('/api/v1/logs/facets', { ...params, names: FACETS, limit: 8 }));
  const [open, setOpen] = useState(window.innerWidth > 900);
  useEffect(() => {
    // On a narrow screen the lines come first.
    if (window.innerWidth <= 900) setOpen(false);
  }, []);
  return (
    <aside className="facets" aria-label={t('logs.facets')}>
      <button className="facets-toggle" aria-expanded={open} onClick={() => setOpen(!open)}>
        {t('logs.facets')} <Icon name="down" size={12} />
      </button>
      {open && (
        <Ready loaded={loaded} rows={6}>
          {({ facets }) => (
            <>
              {facets
                .filter((facet) => facet.values.length > 0)
                .map((facet) => (
                  <section key={facet.name}>
                    <h3>{has(`facet.${facet.name}`) ? t(`facet.${facet.name}`) : facet.name}</h3>
                    <ul>
                      {facet.values.map(({ value, count: n }) => (
                        <li key={value}>
                          <button onClick={() => onCondition(facet.name, value)} title={t('logs.only', { name: facet.name, value })}>
                            <span>{facet.name === 'severity' && value !== '' && value !== 'unknown' ? severityWord(value, t, has) : value || t('logs.no_value')}</span>
                            <small>{count(n, locale)}</small>
                          </button>
                          <button
                            className="without"
                            onClick={() => onCondition(facet.name, value, true)}
                            aria-label={t('logs.without', { name: facet.name, value })}
                            title={t('logs.without', { name: facet.name, value })}
                          >
                            −
                          </button>
                        </li>
                      ))}
                    </ul>
                  </section>
                ))}
            </>
          )}
        </Ready>
      )}
    </aside>
  );
}
