// The address bar as state. Small, because the page needs little of a router: a dozen paths, query parameters, links.
import {
  createContext,
  startTransition,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useState,
  type ComponentType,
  type MouseEvent,
  type ReactNode,
} from 'react';

interface Place {
  pathname: string;
  search: string;
}

interface Options {
  /** Does not leave a step for "back". */
  replace?: boolean;
}

const PlaceContext = createContext<Place>({ pathname: '/', search: '' });
const ParamsContext = createContext<Record<string, string>>({});

const changed = new Set<() => void>();

function here(): Place {
  return { pathname: window.location.pathname, search: window.location.search };
}

/** Goes to a path of this page without loading it anew. */
export function navigate(path: string, options: Options = {}) {
  const before = window.location.pathname;
  window.history[options.replace ? 'replaceState' : 'pushState'](null, '', path);
  // A new page starts at its top; "back" is left to the browser, which remembers.
  if (window.location.pathname !== before) window.scrollTo(0, 0);
  changed.forEach((listener) => listener());
}

export function Router({ children }: { children: ReactNode }) {
  const [place, setPlace] = useState(here);
  useEffect(() => {
    // While a page's code loads, the page before stays.
    const listener = () => startTransition(() => setPlace(here()));
    changed.add(listener);
    window.addEventListener('popstate', listener);
    return () => {
      changed.delete(listener);
      window.removeEventListener('popstate', listener);
    };
  }, []);
  return <PlaceContext.Provider value={place}>{children}</PlaceContext.Provider>;
}

export function useLocation(): Place {
  return useContext(PlaceContext);
}

export type ChangeParams = (change: (before: URLSearchParams) => URLSearchParams, options?: Options) => void;

/** The query's parameters, and how to change them. A change starts from the address as it is then. */
export function useSearchParams(): [URLSearchParams, ChangeParams] {
  const { search } = useLocation();
  const params = useMemo(() => new URLSearchParams(search), [search]);
  const change = useCallback<ChangeParams>((update, options) => {
    const text = update(new URLSearchParams(window.location.search)).toString();
    navigate(window.location.pathname + (text ? `?${text}` : ''), options);
  }, []);
  return [params, change];
}

/** The parts of the path that the route names with a colon. */
export function useParams(): Record<string, string> {
  return useContext(ParamsContext);
}

/** Matches `/hosts/:host` against a path; null when it does not. */
export function matchPath(pattern: string, pathname: string): Record<string, string> | null {
  const wanted = pattern.split('/');
  const given = pathname.replace(/(.)\/+$/, '$1').split('/');
  if (wanted.length !== given.length) return null;
  const params: Record<string, string> = {};
  for (const [at, part] of wanted.entries()) {
    const actual = given[at] ?? '';
    if (!part.startsWith(':')) {
      if (part !== actual) return null;
      continue;
    }
    try {
      params[part.slice(1)] = decodeURIComponent(actual);
    } catch {
      params[part.slice(1)] = actual;
    }
  }
  return params;
}

/** Shows the first page whose pattern matches. */
export function Routes({ routes, fallback: Fallback }: { routes: [string, ComponentType][]; fallback: ComponentType }) {
  const { pathname } = useLocation();
  for (const [pattern, Page] of routes) {
    const params = matchPath(pattern, pathname);
    if (params) {
      return (
        <ParamsContext.Provider value={params}>
          {/* Another host is another page: nothing of the one before stays. */}
          <Page key={pathname} />
        </ParamsContext.Provider>
      );
    }
  }
  return <Fallback />;
}

interface LinkProps {
  to: string;
  className?: string;
  title?: string;
  children: ReactNode;
}

/** A link within the page; a new tab and the like are left to the browser. */
export function Link({ to, children, ...rest }: LinkProps) {
  const follow = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    navigate(to);
  };
  return (
    <a href={to} onClick={follow} {...rest}>
      {children}
    </a>
  );
}
