// The legend is a table: last, mean, max; sortable; a click isolates a line, Ctrl-click adds one.
import { useState } from 'react';
import { formatValue, type Unit } from '../format/units';
import { useWords } from '../i18n';
import type { Frame, Line } from './frame';

type Order = 'label' | 'last' | 'mean' | 'max';

interface Props {
  frame: Frame;
  unit: Unit;
  isolated: ReadonlySet<string>;
  onIsolate: (key: string, add: boolean) => void;
  onHighlight: (key: string | null) => void;
}

export function Legend({ frame, unit, isolated, onIsolate, onHighlight }: Props) {
  const { t, locale } = useWords();
  const [order, setOrder] = useState<Order>('last');
  const lines = frame.lines.filter((line) => line.kind !== 'lower' && line.kind !== 'upper');
  const sorted = [...lines].sort((a, b) => (order === 'label' ? a.label.localeCompare(b.label) : (b[order] ?? -Infinity) - (a[order] ?? -Infinity)));
  const heading = (id: Order, className: string) => (
    <th scope="col" className={className} aria-sort={order === id ? (id === 'label' ? 'ascending' : 'descending') : undefined}>
      <button onClick={() => setOrder(id)}>{t(`legend.${id}`)}</button>
    </th>
  );
  return (
    <div className="legend" tabIndex={0} role="group" aria-label={t('legend.title')}>
      <table>
        <thead>
          <tr>
            {heading('label', '')}
            {heading('last', 'figure')}
            {heading('mean', 'figure')}
            {heading('max', 'figure')}
          </tr>
        </thead>
        <tbody>
          {sorted.map((line) => (
            <tr key={line.key} className={isolated.size > 0 && !isolated.has(line.key) ? 'off' : ''}>
              <td onMouseEnter={() => onHighlight(line.key)} onMouseLeave={() => onHighlight(null)}>
                <button
                  aria-pressed={isolated.has(line.key)}
                  title={line.label}
                  onClick={(event) => onIsolate(line.key, event.ctrlKey || event.metaKey)}
                >
                  <Swatch line={line} />
                  <span>{line.kind === 'mean' ? t('legend.forecast', { label: line.label }) : line.label}</span>
                </button>
              </td>
              <td className="figure">{formatValue(line.last, unit, locale)}</td>
              <td className="figure">{formatValue(line.mean, unit, locale)}</td>
              <td className="figure">{formatValue(line.max, unit, locale)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {frame.hidden > 0 && <p className="hint">{t('legend.hidden', { count: frame.hidden })}</p>}
    </div>
  );
}

function Swatch({ line }: { line: Line }) {
  return (
    <svg width="14" height="8" aria-hidden="true" className={`swatch series-${line.colour}`}>
      <path d={line.kind === 'step' ? 'M0 6h6V2h8' : 'M0 4h14'} strokeDasharray={line.kind === 'mean' ? '4 3' : undefined} />
    </svg>
  );
}
