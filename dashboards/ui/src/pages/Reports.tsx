// Inspection reports: the list, one read in the page, and a new one of the time range in view.
import { useState } from 'react';
import { sendJson } from '../api/client';
import type { ReportHead } from '../api/types';
import { useApi } from '../api/useApi';
import { dayTime } from '../format/time';
import { useWords } from '../i18n';
import { useTime } from '../time/TimeContext';
import { Icon } from '../ui/Icon';
import { useParam } from '../ui/links';
import { Empty, Panel, Ready } from '../ui/Panel';
import { Sentence, Time } from './parts';

export function Reports() {
  const { t } = useWords();
  const loaded = useApi<{ reports: ReportHead[] }>('/api/v1/reports');
  const [chosen, setChosen] = useParam('id');
  return (
    <Ready loaded={loaded} rows={6}>
      {({ reports }) => {
        const sorted = [...reports].sort((a, b) => b.created_at_ms - a.created_at_ms);
        const report = sorted.find((head) => String(head.id) === chosen) ?? sorted[0];
        return (
          <>
            <Sentence
              aside={
                <Create
                  onDone={(id) => {
                    loaded.reload();
                    setChosen(String(id));
                  }}
                />
              }
            >
              {reports.length ? t('reports.sentence', { count: reports.length, summary: sorted[0]?.summary }) : t('reports.none')}
            </Sentence>
            {report ? (
              <div className="columns one-two">
                <Panel title={t('reports.list')}>
                  <ul className="reports">
                    {sorted.map((head) => (
                      <li key={head.id} data-row tabIndex={-1} className={head === report ? 'selected' : ''} onKeyDown={(event) => event.key === 'Enter' && setChosen(String(head.id))}>
                        <button aria-current={head === report ? 'true' : undefined} onClick={() => setChosen(String(head.id))}>
                          <b>{head.title}</b>
                          <span>{head.summary}</span>
                          <small>
                            <Time ms={head.created_at_ms} /> · {head.language === 'zh' ? '中文' : 'English'}
                          </small>
                        </button>
                      </li>
                    ))}
                  </ul>
                </Panel>
                <Preview key={report.id} report={report} />
              </div>
            ) : (
              <Panel>
                <Empty title={t('reports.empty.title')} text={t('reports.empty.text')} />
              </Panel>
            )}
          </>
        );
      }}
    </Ready>
  );
}

function Create({ onDone }: { onDone: (id: number) => void }) {
  const { t, language, locale } = useWords();
  const { range, utc } = useTime();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState('');
  const create = () => {
    setBusy(true);
    setProblem('');
    sendJson<{ id: number }>('/api/v1/reports', { from_ms: range.fromMs, to_ms: range.toMs, language })
      .then((answer) => onDone(answer.id))
      .catch((cause: Error) => setProblem(cause.message))
      .finally(() => setBusy(false));
  };
  const clock = { locale, utc };
  return (
    <>
      <button
        className="button primary"
        disabled={busy}
        onClick={create}
        title={`${dayTime(range.fromMs, clock)} – ${dayTime(range.toMs, clock)}`}
      >
        <Icon name="plus" />
        {t(busy ? 'reports.creating' : 'reports.create')}
      </button>
      {problem && (
        <span className="form-error" role="alert">
          {problem}
        </span>
      )}
    </>
  );
}

function Preview({ report }: { report: ReportHead }) {
  const { t, locale } = useWords();
  const { utc } = useTime();
  const clock = { locale, utc };
  const path = `/api/v1/reports/${report.id}`;
  const name = `tidewatch-report-${report.id}`;
  return (
    <Panel
      title={report.title}
      note={`${dayTime(report.from_ms, clock)} – ${dayTime(report.to_ms, clock)}`}
      className="report"
      actions={
        <>
          <a className="button small" href={`${path}/html`} download={`${name}.html`}>
            <Icon name="download" />
            HTML
          </a>
          <a className="button small" href={`${path}/markdown`} download={`${name}.md`}>
            <Icon name="download" />
            Markdown
          </a>
        </>
      }
    >
      <iframe src={`${path}/html`} sandbox="" title={t('reports.preview', { title: report.title })} />
    </Panel>
  );
}
