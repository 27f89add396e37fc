// Views of one page; the chosen one stands in the URL.
import { useSearchParams } from '../router';

interface Tab {
  id: string;
  title: string;
  count?: number;
}

/** The chosen tab: the first one when the URL names none. */
export function useTab(ids: readonly string[], name = 'tab'): string {
  const [params] = useSearchParams();
  const wanted = params.get(name);
  return wanted && ids.includes(wanted) ? wanted : (ids[0] ?? '');
}

export function Tabs({ tabs, label, name = 'tab' }: { tabs: Tab[]; label: string; name?: string }) {
  const [, setParams] = useSearchParams();
  const chosen = useTab(
    tabs.map((tab) => tab.id),
    name,
  );
  const choose = (id: string) =>
    setParams((before) => {
      const next = new URLSearchParams(before);
      if (id === tabs[0]?.id) next.delete(name);
      else next.set(name, id);
      return next;
    });
  return (
    <nav className="tabs" aria-label={label}>
      {tabs.map((tab) => (
        <button key={tab.id} aria-current={chosen === tab.id ? 'page' : undefined} onClick={() => choose(tab.id)}>
          {tab.title}
          {tab.count !== undefined && <span className="count">{tab.count}</span>}
        </button>
      ))}
    </nav>
  );
}
