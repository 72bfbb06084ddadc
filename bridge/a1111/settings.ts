import type { StyleReader } from './style-file.ts';

/** What the command line says that A1111's routes need; everything has a default, so that tests name only what matters. */
export interface A1111Settings {
  /** `all`: every picture is saved unless a request declines; `requested`: only where a request asks, as in A1111. */
  readonly saveImages?: 'all' | 'requested';
  /** Defaults of options that flags change, e.g. `samples_format`. */
  readonly optionDefaults?: Readonly<Record<string, unknown>>;
  /** The saved styles; none where left out. */
  readonly styles?: StyleReader;
  /** What cmd-flags shows. Never a secret. */
  readonly flags?: Readonly<Record<string, unknown>>;
  /** Takes sentences worth a log line: substitutions, and errors nobody foresaw. */
  readonly log?: (message: string) => void;
}
