import { useState } from 'preact/hooks';

interface AskButtonProps {
  readonly label: string;
  readonly question: string;
  /** Takes the question back. */
  readonly keep: string;
  readonly onConfirm: () => void;
}

/** A button whose deed is done after asking once. */
export function AskButton({ label, question, keep, onConfirm }: AskButtonProps) {
  const [isAsking, setAsking] = useState(false);
  if (!isAsking) {
    return (
      <button type="button" onClick={() => setAsking(true)}>
        {label}
      </button>
    );
  }
  return (
    <div class="ask">
      <span role="status">{question}</span>
      <button
        type="button"
        class="danger"
        onClick={() => {
          setAsking(false);
          onConfirm();
        }}
      >
        {label}
      </button>
      <button type="button" onClick={() => setAsking(false)}>
        {keep}
      </button>
    </div>
  );
}
