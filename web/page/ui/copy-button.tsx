import { useEffect, useState } from 'preact/hooks';

interface CopyButtonProps {
  readonly text: string;
  readonly label: string;
  readonly done: string;
  /** Said where the browser refuses (no permission, no secure context). */
  readonly failed: string;
}

/** Copies a text and says so for a moment. */
export function CopyButton({ text, label, done, failed }: CopyButtonProps) {
  const [outcome, setOutcome] = useState<'done' | 'failed' | null>(null);
  useEffect(() => {
    if (!outcome) return;
    const timer = setTimeout(() => setOutcome(null), 2500);
    return () => clearTimeout(timer);
  }, [outcome]);

  async function copy(): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      setOutcome('done');
    } catch {
      // Also where `clipboard` does not exist: http over the LAN.
      setOutcome('failed');
    }
  }

  return (
    <button type="button" onClick={() => void copy()}>
      <span aria-live="polite">
        {outcome === 'done' ? done : outcome === 'failed' ? failed : label}
      </span>
    </button>
  );
}
