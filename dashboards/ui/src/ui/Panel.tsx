// A part of a page that stands or fails on its own.
import { useId, type ReactNode } from 'react';
import type { Loaded } from '../api/useApi';
import { ago } from '../format/time';
import { useWords } from '../i18n';

interface PanelProps {
  title?: ReactNode;
  /** Stands beside the title: what it counts, a hint. */
  note?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
  className?: string;
}

export function Panel({ title, note, actions, children, className = '' }: PanelProps) {
  const id = useId();
  return (
    <section className={`panel ${className}`} aria-labelledby={title ? id : undefined}>
      {(title || actions) && (
        <header className="panel-head">
          {title && <h2 id={id}>{title}</h2>}
          {note && <span className="panel-note">{note}</span>}
          {actions && <div className="panel-actions">{actions}</div>}
        </header>
      )}
      {children}
    </section>
  );
}

/** Shows what is loaded; else why not; else, after a moment, that it is coming. */
export function Ready<T>({
  loaded,
  rows = 4,
  children,
}: {
  loaded: Loaded<T>;
  /** Height of the place kept free while loading, in rows. */
  rows?: number;
  children: (data: T) => ReactNode;
}) {
  const { data, error, loading } = loaded;
  if (data !== null) {
    return (
      <>
        {error && error.kind !== 'gone' && <Stale loaded={loaded} />}
        {children(data)}
      </>
    );
  }
  if (error) return <Failed loaded={loaded} />;
  return <Skeleton rows={rows} visible={loading} />;
}

function Stale<T>({ loaded }: { loaded: Loaded<T> }) {
  const { t, locale } = useWords();
  return (
    <p className="stale" role="status">
      {t('state.stale', { age: loaded.loadedAt === null ? '' : ago(loaded.loadedAt, locale), message: loaded.error?.message })}{' '}
      <button className="link" onClick={loaded.reload}>
        {t('action.retry')}
      </button>
    </p>
  );
}

export function Failed<T>({ loaded }: { loaded: Loaded<T> }) {
  const { t } = useWords();
  const error = loaded.error;
  return (
    <div className="state" role="alert">
      <p className="state-title">{t(error?.kind === 'gone' ? 'state.gone.title' : 'state.failed.title')}</p>
      <p>{error?.kind === 'gone' ? t('state.gone.text') : error?.message}</p>
      <button className="button" onClick={loaded.reload}>
        {t('action.retry')}
      </button>
    </div>
  );
}

export function Skeleton({ rows, visible }: { rows: number; visible: boolean }) {
  const { t } = useWords();
  return (
    <div className={visible ? 'skeleton visible' : 'skeleton'} role="status">
      {visible && <span className="sr">{t('state.loading')}</span>}
      {Array.from({ length: rows }, (_, at) => (
        <span key={at} aria-hidden="true" />
      ))}
    </div>
  );
}

/** Nothing is here, and the one thing to do about it. */
export function Empty({ title, text, children }: { title: string; text?: ReactNode; children?: ReactNode }) {
  return (
    <div className="state">
      <p className="state-title">{title}</p>
      {text && <p>{text}</p>}
      {children}
    </div>
  );
}
