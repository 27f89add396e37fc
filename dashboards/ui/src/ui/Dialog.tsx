// A box over the page that holds the keyboard until it is closed.
import { useEffect, useId, useRef, type ReactNode } from 'react';
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

/** Asks before something that is felt elsewhere. */
export function Confirm({
  title,
  text,
  verb,
  danger,
  onConfirm,
  onClose,
}: {
  title: string;
  text: string;
  verb: string;
  danger?: boolean;
  onConfirm: () => void;
  onClose: () => void;
}) {
  const { t } = useWords();
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{text}</p>
      <div className="dialog-actions">
        <button className="button" onClick={onClose}>
          {t('action.cancel')}
        </button>
        <button
          className={danger ? 'button danger' : 'button primary'}
          onClick={() => {
            onConfirm();
            onClose();
          }}
        >
          {verb}
        </button>
      </div>
    </Dialog>
  );
}
