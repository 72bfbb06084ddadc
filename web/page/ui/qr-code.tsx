import { useEffect, useState } from 'preact/hooks';
import { t } from '../strings/strings.ts';

/** The path that draws a code's dark modules, one unit a module. */
function pathOf(rows: readonly (readonly boolean[])[]): string {
  return rows
    .flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : '')))
    .join('');
}

/** An address for a phone's camera; the encoder comes when the first code is shown. */
export function QrCode({ text }: { text: string }) {
  const [code, setCode] = useState<{ path: string; size: number } | null>(null);
  useEffect(() => {
    let isShown = true;
    import('uqr').then(
      ({ encode }) => {
        const { data, size } = encode(text, { ecc: 'M', border: 2 });
        if (isShown) setCode({ path: pathOf(data), size });
      },
      // Without the encoder the address beside it still stands.
      () => {},
    );
    return () => {
      isShown = false;
    };
  }, [text]);
  if (!code) return <div class="qr" aria-hidden="true" />;
  return (
    <svg
      class="qr"
      viewBox={`0 0 ${code.size} ${code.size}`}
      role="img"
      aria-label={t.connection.qr(text)}
      shape-rendering="crispEdges"
    >
      <path d={code.path} />
    </svg>
  );
}
