// Links keep the page's time range, so that going on means looking at the same time.
import { useMemo, type ReactNode } from 'react';
import { Link, useSearchParams } from '../router';
import { toParams } from '../time/range';
import { specNow, useTime } from '../time/TimeContext';

/** Adds the range in force to a path. */
export function useHref(): (path: string) => string {
  const { spec } = useTime();
  return useMemo(
    // A new function for a new range, so that what is drawn is drawn again.
    () => (path: string) => {
      const [bare = '/', query = ''] = path.split('?');
      const asked = new URLSearchParams(query);
      const params = asked.has('from') ? asked : toParams(specNow(), asked);
      const text = params.toString();
      return text ? `${bare}?${text}` : bare;
    },
    [spec],
  );
}

export function To({ path, children, className, title }: { path: string; children: ReactNode; className?: string; title?: string }) {
  const href = useHref();
  return (
    <Link to={href(path)} className={className} title={title}>
      {children}
    </Link>
  );
}

export const servicePath = (service: string) => `/services/${encodeURIComponent(service)}`;
export const hostPath = (host: string) => `/hosts/${encodeURIComponent(host)}`;
export const ticketPath = (id: number | string) => `/tickets/${id}`;
export const explorePath = (...queries: string[]) => `/explore?${new URLSearchParams(queries.map((query) => ['q', query]))}`;
export const logsPath = (query: string) => `/logs?${new URLSearchParams({ q: query })}`;
export const scalingPath = (service: string) => `/autoscaling?${new URLSearchParams({ service })}`;

/** One parameter of the URL, and how to change it. */
export function useParam(name: string): [string, (value: string | null, options?: { replace?: boolean }) => void] {
  const [params, setParams] = useSearchParams();
  const set = (value: string | null, options?: { replace?: boolean }) =>
    setParams(
      (before) => {
        const next = new URLSearchParams(before);
        if (value === null || value === '') next.delete(name);
        else next.set(name, value);
        return next;
      },
      { replace: options?.replace },
    );
  return [params.get(name) ?? '', set];
}
