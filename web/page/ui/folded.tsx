import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';

interface FoldedProps {
  readonly title: string;
  /** Unfolded from the start. */
  readonly isUsed?: boolean;
  /** Something in it is wrong: it unfolds, so that it can be seen and mended. */
  readonly hasProblem?: boolean;
  readonly children: ComponentChildren;
}

/** What is seldom needed, behind a line; not on the page until it is unfolded. */
export function Folded({ title, isUsed = false, hasProblem = false, children }: FoldedProps) {
  const [isOpen, setOpen] = useState(isUsed);
  const isShown = isOpen || hasProblem;
  return (
    <details open={isShown} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{title}</summary>
      {isShown && children}
    </details>
  );
}
