// Line icons, drawn on a 16 px grid in the text's colour.
const PATHS = {
  overview: 'M2 9.5 5 6l3 3 3-5 3 4M2 13.5h12',
  services: 'M8 1.8 13.5 5v6L8 14.2 2.5 11V5zM2.5 5 8 8.2 13.5 5M8 8.2v6',
  hosts: 'M2.5 2.5h11v4.5h-11zM2.5 9h11v4.5h-11zM5 4.8h.01M5 11.2h.01',
  metrics: 'M2 2v12h12M4.5 10.5 7 7l2.5 2 4-5',
  logs: 'M2.5 3.5h11M2.5 6.5h8M2.5 9.5h11M2.5 12.5h6',
  alerts: 'M8 2a4 4 0 0 0-4 4v3l-1.3 2.5h10.6L12 9V6a4 4 0 0 0-4-4zM6.5 13.8h3',
  autoscaling: 'M2 14h3v-3h3V8h3V5h3M9.5 2H14v4.5',
  reports: 'M3.5 1.8h6l3 3v9.4h-9zM9.5 1.8v3h3M5.5 8h5M5.5 10.8h5',
  targets: 'M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM8 5.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5zM8 8h.01',
  status: 'M1.5 8.5H5l2-5 2.5 9 2-4h3',
  search: 'M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM10.4 10.4 14 14',
  clock: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM8 4.8V8l2.2 1.6',
  refresh: 'M13.5 8a5.5 5.5 0 1 1-1.6-3.9M13.5 2v3h-3',
  sun: 'M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1',
  moon: 'M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z',
  system: 'M2 3h12v8H2zM6 13.5h4',
  language: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM2 8h12M8 2c-3.4 3.4-3.4 8.6 0 12M8 2c3.4 3.4 3.4 8.6 0 12',
  help: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM6.3 6.3a1.7 1.7 0 1 1 2.5 1.5c-.6.3-.8.7-.8 1.300M8 11.3h.01',
  fold: 'M9.5 4 5.5 8l4 4',
  unfold: 'M6.5 4l4 4-4 4',
  down: 'M4 6l4 4 4-4',
  more: 'M3.5 8h.01M8 8h.01M12.5 8h.01',
  close: 'M4 4l8 8M12 4l-8 8',
  plus: 'M8 3v10M3 8h10',
  pause: 'M5.5 3.5v9M10.5 3.5v9',
  play: 'M4.5 3l8 5-8 5z',
  table: 'M2.5 3h11v10h-11zM2.5 6.5h11M2.5 9.8h11M7 6.5V13',
  download: 'M8 2.5v7.5M5 7.2l3 3 3-3M3 13.5h10',
  back: 'M6 4 2.5 7.5 6 11M2.5 7.5H10a3.5 3.5 0 0 1 0 7H8',
  external: 'M6 3H3v10h10v-3M9 3h4v4M13 3 7.5 8.5',
  stop: 'M5.3 2h5.400L14 5.300v5.400L10.7 14H5.300L2 10.700V5.300zM5.8 8h4.4',
  menu: 'M2.5 4.5h11M2.5 8h11M2.5 11.5h11',
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 16 }: { name: IconName; size?: number }) {
  return (
    <svg className="icon" width={size} height={size} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
