import type { ComponentChildren } from 'preact';

function Icon({ children }: { children: ComponentChildren }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export const DiceIcon = () => (
  <Icon>
    <rect x="3" y="3" width="14" height="14" rx="3" />
    <path d="M7 7h.01M13 7h.01M10 10h.01M7 13h.01M13 13h.01" />
  </Icon>
);

export const ReuseIcon = () => (
  <Icon>
    <path d="M4 10a6 6 0 0 1 10.5-4L17 8M17 4v4h-4M16 10a6 6 0 0 1-10.5 4L3 12M3 16v-4h4" />
  </Icon>
);

export const SwapIcon = () => (
  <Icon>
    <path d="M4 7h12l-3-3M16 13H4l3 3" />
  </Icon>
);

export const SunIcon = () => (
  <Icon>
    <circle cx="10" cy="10" r="3.5" />
    <path d="M10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.3 4.3l1.1 1.1M14.6 14.6l1.1 1.1M4.3 15.7l1.1-1.1M14.6 5.4l1.1-1.1" />
  </Icon>
);

export const MoonIcon = () => (
  <Icon>
    <path d="M16.5 12A7 7 0 0 1 8 3.5 7 7 0 1 0 16.5 12Z" />
  </Icon>
);

export const HalfIcon = () => (
  <Icon>
    <circle cx="10" cy="10" r="6.5" />
    <path d="M10 3.5v13a6.5 6.5 0 0 0 0-13Z" fill="currentColor" />
  </Icon>
);

export const DownloadIcon = () => (
  <Icon>
    <path d="M10 3v9M6 9l4 4 4-4M4 16h12" />
  </Icon>
);

export const CloseIcon = () => (
  <Icon>
    <path d="m5 5 10 10M15 5 5 15" />
  </Icon>
);

export const PreviousIcon = () => (
  <Icon>
    <path d="m12 4-6 6 6 6" />
  </Icon>
);

export const NextIcon = () => (
  <Icon>
    <path d="m8 4 6 6-6 6" />
  </Icon>
);

export const UndoIcon = () => (
  <Icon>
    <path d="M7 4 3.5 7.5 7 11M3.5 7.5H12a4 4 0 0 1 0 8H8" />
  </Icon>
);

export const RedoIcon = () => (
  <Icon>
    <path d="m13 4 3.5 3.5L13 11M16.5 7.5H8a4 4 0 0 0 0 8h4" />
  </Icon>
);

export const ZoomInIcon = () => (
  <Icon>
    <circle cx="9" cy="9" r="5.5" />
    <path d="m13.2 13.2 3.3 3.3M6.8 9h4.4M9 6.8v4.4" />
  </Icon>
);

export const ZoomOutIcon = () => (
  <Icon>
    <circle cx="9" cy="9" r="5.5" />
    <path d="m13.2 13.2 3.3 3.3M6.8 9h4.4" />
  </Icon>
);

export const FitIcon = () => (
  <Icon>
    <path d="M3.5 7V3.5H7M13 3.5h3.5V7M16.5 13v3.5H13M7 16.5H3.5V13" />
  </Icon>
);

/** The mark: a canvas on its three legs. */
export const EaselMark = () => (
  <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <path
      d="M16 4v4M9 28l4.5-8M23 28l-4.5-8M6 21h20"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
      fill="none"
    />
    <rect x="7.5" y="8" width="17" height="12" rx="1.5" fill="currentColor" />
    <path class="mark-hill" d="m10 17.8 3.7-4.6 2.9 3 1.8-1.9 3.6 3.5z" />
  </svg>
);
