// A line without axes, for a table's column. A gap is a gap.
interface Props {
  values: (number | null)[];
  width?: number;
  height?: number;
  /** In words, for those who do not see it. */
  label: string;
  bars?: boolean;
}

/** A few bars are no blocks. */
const BAR_PX = 14;

export function Spark({ values, width = 96, height = 20, label, bars }: Props) {
  const known = values.filter((value): value is number => value !== null);
  const max = Math.max(...known, 0);
  const step = width / Math.max(1, values.length - (bars ? 0 : 1));
  const y = (value: number) => height - 1.5 - (max === 0 ? 0 : (value / max) * (height - 3));
  if (bars) {
    return (
      <svg className="spark" width={width} height={height} role="img" aria-label={label}>
        {values.map((value, at) =>
          value ? (
            <rect key={at} x={at * step} width={Math.min(BAR_PX, Math.max(1, step - 1))} y={y(value)} height={height - y(value)} />
          ) : null,
        )}
      </svg>
    );
  }
  let path = '';
  let pen = false;
  values.forEach((value, at) => {
    if (value !== null) path += `${pen ? 'L' : 'M'}${(at * step).toFixed(1)} ${y(value).toFixed(1)}`;
    pen = value !== null;
  });
  return (
    <svg className="spark" width={width} height={height} role="img" aria-label={label}>
      <path d={path} />
    </svg>
  );
}

/** A share of a whole as a bar with its figure. */
export function Meter({ ratio, text, kind }: { ratio: number | null; text: string; kind?: 'warning' | 'critical' }) {
  return (
    <span className={`meter ${kind ?? ''}`}>
      <svg width="44" height="6" viewBox="0 0 44 6" preserveAspectRatio="none" aria-hidden="true">
        <rect className="meter-ground" width="44" height="6" rx="2" />
        {ratio !== null && <rect className="meter-fill" width={Math.max(0, Math.min(1, ratio)) * 44} height="6" rx="2" />}
      </svg>
      <span>{text}</span>
    </span>
  );
}
