// A button that opens a small box of choices. Esc and a click elsewhere close it.
import { useEffect, useId, useRef, useState, type ReactNode } from 'react';
import { Icon, type IconName } from './Icon';

interface Props {
  label: string;
  icon?: IconName;
  /** Shown on the button; else only the icon. */
  text?: ReactNode;
  align?: 'left' | 'right';
  className?: string;
  children: ReactNode | ((close: () => void) => ReactNode);
}

export function Menu({ label, icon, text, align = 'left', className = '', children }: Props) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  const close = () => setOpen(false);

  useEffect(() => {
    if (!open) return;
    const outside = (event: PointerEvent) => {
      if (!box.current?.contains(event.target as Node)) setOpen(false);
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return;
      event.stopPropagation();
      setOpen(false);
      button.current?.focus();
    };
    document.addEventListener('pointerdown', outside);
    document.addEventListener('keydown', escape, true);
    return () => {
      document.removeEventListener('pointerdown', outside);
      document.removeEventListener('keydown', escape, true);
    };
  }, [open]);

  return (
    <div className={`menu ${className}`} ref={box}>
      <button
        ref={button}
        className={text ? 'button quiet' : 'button quiet square'}
        aria-label={text && typeof text === 'string' ? `${label}: ${text}` : label}
        title={label}
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
      >
        {icon && <Icon name={icon} />}
        {text}
        {text && <Icon name="down" size={12} />}
      </button>
      {open && (
        <div id={id} className={`menu-box ${align}`}>
          {typeof children === 'function' ? children(close) : children}
        </div>
      )}
    </div>
  );
}

/** One choice of a menu. */
export function Choice({ chosen, onClick, children }: { chosen?: boolean; onClick: () => void; children: ReactNode }) {
  return (
    <button className={chosen ? 'menu-item chosen' : 'menu-item'} aria-pressed={chosen} onClick={onClick}>
      {children}
    </button>
  );
}
