// A box over the page that holds the keyboard until it is closed.
import { useEffect, useId, useRef, useState, type ReactNode } from 'react';
import { useWords } from '../i18n';
import { Icon } from './Icon';

interface Props {
  title: string;
  onClose: () => void;
  children: ReactNode;
  className?: string;
  /** Leaves the heading to screen readers. */
  bare?: boolean;
}

export function Dialog({ title, onClose, children, className = '', bare }: Props) {
  const { t } = useWords();
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = ref.current;
    if (!dialog?.open) dialog?.showModal();
    // What is asked for first, else what the browser chooses.
    dialog?.querySelector<HTMLElement>('[data-first]')?.focus();
    return () => dialog?.close();
  }, []);
  return (
    <dialog
      ref={ref}
      className={`dialog ${className}`}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === ref.current) onClose();
      }}
    >
      <div className="dialog-body">
        <header className={bare ? 'sr' : 'dialog-head'}>
          <h2 id={id}>{title}</h2>
          {!bare && (
            <button className="button quiet square" aria-label={t('action.close')} onClick={onClose}>
              <Icon name="close" />
            </button>
          )}
        </header>
        {children}
      </div>
    </dialog>
  );
}

/** Longest reason that the server takes. */
const WHY_MAX = 500;

/** Asks before something that is felt elsewhere, and why it is done where that is kept. */
export function Confirm({
  title,
  text,
  verb,
  danger,
  asksWhy,
  children,
  className,
  onConfirm,
  onClose,
}: {
  title: string;
  text: string;
  verb: string;
  danger?: boolean;
  asksWhy?: boolean;
  children?: ReactNode;
  className?: string;
  onConfirm: (why: string) => void;
  onClose: () => void;
}) {
  const { t } = useWords();
  const [why, setWhy] = useState('');
  return (
    <Dialog title={title} onClose={onClose} className={className}>
      <form
        className="dialog-form"
        onSubmit={(event) => {
          event.preventDefault();
          onConfirm(why.trim());
          onClose();
        }}
      >
        <p>{text}</p>
        {children}
        {asksWhy && (
          <label className="why">
            {t('action.why')}
            <input value={why} onChange={(event) => setWhy(event.target.value)} maxLength={WHY_MAX} placeholder={t('action.why_placeholder')} data-first />
          </label>
        )}
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose}>
            {t('action.cancel')}
          </button>
          <button type="submit" className={danger ? 'button danger' : 'button primary'} data-first={asksWhy ? undefined : true}>
            {verb}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
