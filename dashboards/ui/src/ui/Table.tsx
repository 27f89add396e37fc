// A dense table: sorted by its headings (kept in the URL), rows by keyboard, long lists drawn only where one looks.
import { useMemo, useRef, type ReactNode } from 'react';
import { useSearchParams } from '../router';
import { useWords } from '../i18n';
import { usePreference } from '../preferences';
import { Menu } from './Menu';
import { useVirtual } from './useVirtual';

export interface Column<R> {
  id: string;
  title: string;
  render: (row: R) => ReactNode;
  /** What it is sorted by; without it the column is not sortable. */
  sort?: (row: R) => number | string | null;
  /** Figures stand on the right. */
  figure?: boolean;
  /** Left out where the screen is narrow. */
  wideOnly?: boolean;
  /** Left out until a person asks for it. */
  optional?: boolean;
  /** Takes the room that is left and cuts what is too long. */
  grow?: boolean;
}

interface Props<R> {
  label: string;
  columns: Column<R>[];
  rows: R[];
  rowKey: (row: R) => string;
  onOpen?: (row: R) => void;
  /** Name of the URL parameter that keeps the order, and of the kept choice of columns. */
  name: string;
  /** Sorted so at first: a column's id, `-` before it for descending. */
  order?: string;
  empty?: ReactNode;
  selected?: string;
}

const ROW_PX = 28;
/** Longer lists are drawn only where one looks. */
const VIRTUAL_FROM = 200;

function compare(a: number | string | null, b: number | string | null): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
}

export function Table<R>({ label, columns, rows, rowKey, onOpen, name, order = '', empty, selected }: Props<R>) {
  const { t } = useWords();
  const [params, setParams] = useSearchParams();
  const [chosen, setHidden] = usePreference<string[] | null>(`columns.${name}`, null);
  const hidden = chosen ?? columns.filter((column) => column.optional).map((column) => column.id);
  const parameter = `${name}.sort`;
  const sorted = params.get(parameter) ?? order;
  const down = sorted.startsWith('-');
  const by = columns.find((column) => column.id === sorted.replace('-', ''));
  const shown = columns.filter((column) => !hidden.includes(column.id));

  const list = useMemo(() => {
    const key = by?.sort;
    if (!key) return rows;
    // Unknown values stay last in either order.
    return [...rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      return x === null || y === null ? compare(x, y) : down ? compare(y, x) : compare(x, y);
    });
  }, [rows, by, down]);

  const sortBy = (id: string) =>
    setParams(
      (before) => {
        const next = new URLSearchParams(before);
        next.set(parameter, sorted === id ? `-${id}` : id);
        return next;
      },
      { replace: true },
    );

  const box = useRef<HTMLDivElement>(null);
  const virtual = list.length > VIRTUAL_FROM;
  const { items, totalPx } = useVirtual({ count: virtual ? list.length : 0, rowPx: ROW_PX, box });
  const visible = virtual ? items.map((item) => list[item.index] as R) : list;
  const above = items[0]?.start ?? 0;
  const below = virtual ? totalPx - above - items.length * ROW_PX : 0;

  if (rows.length === 0 && empty) return <>{empty}</>;
  return (
    <div className={virtual ? 'table-box tall' : 'table-box'} ref={box} role="group" aria-label={label} tabIndex={0}>
      <table className="table">
        <caption className="sr">{label}</caption>
        <thead>
          <tr>
            {shown.map((column) => (
              <th
                key={column.id}
                scope="col"
                className={classes(column)}
                aria-sort={by?.id === column.id ? (down ? 'descending' : 'ascending') : undefined}
              >
                {column.sort ? (
                  <button onClick={() => sortBy(column.id)}>
                    {column.title}
                    {by?.id === column.id && (
                      <span aria-hidden="true" className="sort">
                        {down ? '↓' : '↑'}
                      </span>
                    )}
                  </button>
                ) : (
                  column.title
                )}
              </th>
            ))}
            {columns.length > 6 && (
              <th className="chooser" scope="col">
                <Menu label={t('table.columns')} icon="more" align="right">
                  {columns.slice(1).map((column) => (
                    <label key={column.id} className="menu-check">
                      <input
                        type="checkbox"
                        checked={!hidden.includes(column.id)}
                        onChange={(event) =>
                          setHidden(event.target.checked ? hidden.filter((id) => id !== column.id) : [...hidden, column.id])
                        }
                      />
                      {column.title}
                    </label>
                  ))}
                </Menu>
              </th>
            )}
          </tr>
        </thead>
        <tbody>
          {above > 0 && <tr aria-hidden="true" className="spacer" ref={(row) => void row?.style.setProperty('height', `${above}px`)} />}
          {visible.map((row) => {
            const key = rowKey(row);
            return (
              <tr
                key={key}
                data-row
                tabIndex={-1}
                className={`${onOpen ? 'openable' : ''} ${selected === key ? 'selected' : ''}`}
                onClick={(event) => {
                  // Links and buttons in a row do their own.
                  if (onOpen && !(event.target as HTMLElement).closest('a,button,input,label')) onOpen(row);
                }}
                onKeyDown={(event) => {
                  if (event.key === 'Enter' && event.target === event.currentTarget) onOpen?.(row);
                }}
              >
                {shown.map((column) => (
                  <td key={column.id} className={classes(column)}>
                    {column.render(row)}
                  </td>
                ))}
                {columns.length > 6 && <td className="chooser" />}
              </tr>
            );
          })}
          {below > 0 && <tr aria-hidden="true" className="spacer" ref={(row) => void row?.style.setProperty('height', `${below}px`)} />}
        </tbody>
      </table>
    </div>
  );
}

function classes<R>(column: Column<R>): string {
  return [column.figure && 'figure', column.wideOnly && 'wide-only', column.grow && 'grow'].filter(Boolean).join(' ');
}
