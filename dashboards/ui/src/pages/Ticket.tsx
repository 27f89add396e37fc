// One ticket: its state and owner, what machine and people did, and the evidence at its time.
import { useEffect, useState } from 'react';
import { useParams } from '../router';
import { sendJson } from '../api/client';
import type { Ticket } from '../api/types';
import { runBatch, useApi, useLoad } from '../api/useApi';
import { ChartPanel } from '../chart/ChartPanel';
import { buildFrame } from '../chart/frame';
import { inferUnit } from '../format/units';
import { useWords } from '../i18n';
import { usePreference } from '../preferences';
import { stepped } from '../time/range';
import { logsPath, To } from '../ui/links';
import { Mark, type MarkKind } from '../ui/Mark';
import { Panel, Ready } from '../ui/Panel';
import { Facts, Sentence, ServiceLink, Time } from './parts';
import { severityMark, severityWord } from './severity';

export function TicketMark({ ticket }: { ticket: Ticket }) {
  const { t } = useWords();
  const kind: MarkKind = ticket.state === 'open' ? severityMark(ticket.severity) : ticket.state === 'acknowledged' ? 'muted' : 'ok';
  return <Mark kind={kind} word={t(`ticket.state.${ticket.state}`)} />;
}

export function TicketPage() {
  const { id = '' } = useParams();
  const loaded = useApi<Ticket>(`/api/v1/tickets/${encodeURIComponent(id)}`);
  return (
    <Ready loaded={loaded} rows={8}>
      {(ticket) => <Body ticket={ticket} reload={loaded.reload} />}
    </Ready>
  );
}

function Body({ ticket, reload }: { ticket: Ticket; reload: () => void }) {
  const { t, has, say } = useWords();
  const resolved = ticket.state === 'resolved' || ticket.state === 'closed';
  return (
    <>
      <Sentence
        kind={resolved ? 'ok' : severityMark(ticket.severity)}
        aside={<To path="/alerts?tab=tickets">{t('ticket.all')}</To>}
      >
        <b className="subject">#{ticket.id}</b> {say(ticket.title)}
      </Sentence>
      <Facts
        facts={[
          [t('column.state'), <TicketMark key="v" ticket={ticket} />],
          [t('column.severity'), severityWord(ticket.severity, t, has)],
          [t('column.service'), <ServiceLink key="v" service={ticket.service} />],
          [t('column.owner'), ticket.owner || t('ticket.nobody')],
          [t('column.opened'), <Time key="v" ms={ticket.opened_at_ms} />],
          [t('column.resolved'), <Time key="v" ms={ticket.resolved_at_ms} />],
        ]}
      />
      <div className="columns two-one">
        <div>
          <Evidence ticket={ticket} />
        </div>
        <div>
          <Act ticket={ticket} onDone={reload} />
          <Panel title={t('ticket.timeline')}>
            <ol className="ticket-timeline">
              {[...ticket.timeline]
                .sort((a, b) => b.time_ms - a.time_ms)
                .map((entry, at) => (
                  <li key={`${entry.time_ms} ${at}`} data-row tabIndex={-1}>
                    <p>
                      <b>{entry.actor}</b> <Time ms={entry.time_ms} />
                    </p>
                    <p>{say(entry.text)}</p>
                  </li>
                ))}
            </ol>
          </Panel>
        </div>
      </div>
    </>
  );
}

/** Evidence is shown from so long before the ticket … */
const BEFORE_MS = 20 * 60_000;
/** … to so long after it was resolved. */
const AFTER_MS = 10 * 60_000;

/** The evidence stands still at the ticket's own time, whatever the page's range is. */
function Evidence({ ticket }: { ticket: Ticket }) {
  const { t } = useWords();
  const fromMs = ticket.opened_at_ms - BEFORE_MS;
  // An open ticket's evidence ends where it was last touched, at least the same time after it was opened.
  const end = (ticket.resolved_at_ms ?? Math.max(ticket.updated_at_ms, ticket.opened_at_ms + AFTER_MS)) + (ticket.resolved_at_ms ? AFTER_MS : 0);
  const [now] = useState(Date.now);
  const toMs = Math.min(end, now);
  const queries = ticket.evidence.map((expr, at) => ({ id: String(at), expr }));
  const steps = stepped({ fromMs, toMs });
  const key = queries.length ? JSON.stringify([queries, steps]) : null;
  const loaded = useLoad(key, (signal) => runBatch(queries, steps, signal), true);
  const event = { time_ms: ticket.opened_at_ms, kind: 'alert', cluster: '', service: ticket.service, subject: '', actor: '', summary: ticket.title, details: {} };
  if (ticket.evidence.length === 0) return <Panel title={t('ticket.evidence')}><p className="hint pad">{t('ticket.no_evidence')}</p></Panel>;
  return (
    <>
      {ticket.evidence.map((expr, at) => {
        const result = loaded.data?.results.get(String(at));
        const frame = loaded.data ? buildFrame([{ result, legend: '', kind: 'line', name: expr }], loaded.data.steps) : null;
        return <ChartPanel key={expr} title={expr} frame={frame} unit={inferUnit(expr)} queries={[expr]} error={result?.error} events={[event]} />;
      })}
      {ticket.service && (
        <p className="pad">
          <To path={`${logsPath(`service:"${ticket.service}"`)}&from=${fromMs}&to=${toMs}`}>{t('ticket.logs')}</To>
        </p>
      )}
    </>
  );
}

function Act({ ticket, onDone }: { ticket: Ticket; onDone: () => void }) {
  const { t } = useWords();
  const [name, setName] = usePreference<string>('name', '');
  const [comment, setComment] = useState('');
  const [problem, setProblem] = useState('');
  const [busy, setBusy] = useState(false);
  useEffect(() => setProblem(''), [ticket.state]);

  const update = (state: string | null) => {
    setBusy(true);
    sendJson(`/api/v1/tickets/${ticket.id}/update`, { state, owner: state === 'acknowledged' && name ? name : null, comment })
      .then(() => {
        setComment('');
        setProblem('');
        onDone();
      })
      .catch((cause: Error) => setProblem(cause.message))
      .finally(() => setBusy(false));
  };

  return (
    <Panel title={t('ticket.act')}>
      <div className="ticket-act">
        <label>
          {t('ticket.your_name')}
          <input value={name} onChange={(event) => setName(event.target.value)} autoComplete="name" maxLength={80} />
        </label>
        <label>
          {t('ticket.comment')}
          <textarea rows={3} value={comment} onChange={(event) => setComment(event.target.value)} maxLength={4000} />
        </label>
        <div className="ticket-buttons">
          {ticket.state === 'open' && (
            <button className="button primary" disabled={busy} onClick={() => update('acknowledged')}>
              {t('ticket.acknowledge')}
            </button>
          )}
          {(ticket.state === 'open' || ticket.state === 'acknowledged') && (
            <button className="button" disabled={busy} onClick={() => update('resolved')}>
              {t('ticket.resolve')}
            </button>
          )}
          {ticket.state === 'resolved' && (
            <>
              <button className="button" disabled={busy} onClick={() => update('closed')}>
                {t('ticket.close')}
              </button>
              <button className="button" disabled={busy} onClick={() => update('open')}>
                {t('ticket.reopen')}
              </button>
            </>
          )}
          <button className="button" disabled={busy || comment.trim() === ''} onClick={() => update(null)}>
            {t('ticket.add_comment')}
          </button>
        </div>
        {problem && (
          <p className="form-error" role="alert">
            {problem}
          </p>
        )}
      </div>
    </Panel>
  );
}
