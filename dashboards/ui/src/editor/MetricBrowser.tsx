// All metrics by name, with their type and help.
import { useMemo, useRef, useState } from 'react';
import { getJson } from '../api/client';
import { useLoad } from '../api/useApi';
import { useWords } from '../i18n';
import { Dialog } from '../ui/Dialog';
import { Ready } from '../ui/Panel';
import { useVirtual } from '../ui/useVirtual';

interface Metric {
  name: string;
  type: string;
  help: string;
}

async function loadMetrics(signal: AbortSignal): Promise<Metric[]> {
  const [names, metadata] = await Promise.all([
    getJson<{ data: string[] }>('/api/v1/label/__name__/values', signal),
    getJson<{ data: Record<string, { type: string; help: string }[]> }>('/api/v1/metadata', signal),
  ]);
  return names.data.map((name) => {
    // Buckets, sums and counts belong to the histogram or summary that they are of.
    const about = metadata.data[name]?.[0] ?? metadata.data[name.replace(/_(bucket|sum|count|total|created)$/, '')]?.[0];
    return { name, type: about?.type ?? '', help: about?.help ?? '' };
  });
}

const ROW_PX = 44;

export function MetricBrowser({ onClose, onPick }: { onClose: () => void; onPick: (name: string) => void }) {
  const { t } = useWords();
  const loaded = useLoad('metrics', loadMetrics);
  const [text, setText] = useState('');
  return (
    <Dialog title={t('browser.title')} onClose={onClose} className="browser">
      <input
        type="search"
        autoFocus
        className="filter"
        placeholder={t('browser.placeholder')}
        aria-label={t('browser.placeholder')}
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <Ready loaded={loaded} rows={8}>
        {(metrics) => <List metrics={metrics} text={text} onPick={onPick} />}
      </Ready>
    </Dialog>
  );
}

function List({ metrics, text, onPick }: { metrics: Metric[]; text: string; onPick: (name: string) => void }) {
  const { t } = useWords();
  const box = useRef<HTMLDivElement>(null);
  const shown = useMemo(() => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return metrics.filter((metric) => words.every((word) => `${metric.name} ${metric.help}`.toLowerCase().includes(word)));
  }, [metrics, text]);
  const { items, totalPx } = useVirtual({ count: shown.length, rowPx: ROW_PX, box });
  return (
    <>
      <p className="hint">{t('browser.count', { count: shown.length })}</p>
      <div className="browser-list" ref={box} tabIndex={0} role="group" aria-label={t('browser.title')}>
        <div ref={(inner) => void inner?.style.setProperty('height', `${totalPx}px`)}>
          {items.map((item) => {
            const metric = shown[item.index];
            return (
              metric && (
                <button
                  key={metric.name}
                  className="browser-item"
                  ref={(button) => void button?.style.setProperty('transform', `translateY(${item.start}px)`)}
                  onClick={() => onPick(metric.name)}
                >
                  <span>
                    <code>{metric.name}</code>
                    {metric.type && metric.type !== 'unknown' && <span className="tag">{metric.type}</span>}
                  </span>
                  <small>{metric.help}</small>
                </button>
              )
            );
          })}
        </div>
      </div>
    </>
  );
}
