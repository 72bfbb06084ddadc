import { computed, type ReadonlySignal, type Signal, signal } from '@preact/signals';
import type { Catalog } from '../../protocol/catalog.ts';
import { type EngineStatus, NOTHING_KNOWN } from '../../protocol/device.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import type { GenerationParams } from '../../protocol/generation.ts';
import type { GenerationSummary } from '../../protocol/job.ts';
import type { AddedModel, GenerationProgress, LockedModel, RelayStatus } from '../shared/engine.ts';
import { type ApiJobsState, createApiJobsState } from './api-jobs.ts';
import { type CompiledState, createCompiledState } from './compiled-models.ts';
import { createDownloadsState, type DownloadsState } from './downloads.ts';
import { createEditState, type EditState } from './edit/edit-state.ts';
import type { FieldName, FieldProblems, FormValues } from './form.ts';
import { createGalleryState, type GalleryState } from './gallery.ts';
import type { FileProblem } from './init-picture.ts';
import { createControlSlots, createPictureSlot, type PictureSlot } from './kept-pictures.ts';
import type { Picture } from './picture.ts';
import type { PictureText } from './png-info.ts';
import { createStylesState, type StylesState } from './prompt-styles.ts';
import { DEFAULT_SETTINGS, type Settings, type Theme } from './settings.ts';
import type { ServerKind } from './startup.ts';
import { createTokenCounts, type TokenCounts } from './token-counts.ts';

export const VIEWS = ['create', 'edit', 'gallery', 'models', 'png-info', 'settings'] as const;
export type View = (typeof VIEWS)[number];

/** A failure as the page shows it: what happened, in the place where it happened. */
export interface Problem {
  readonly code: ErrorCode;
  readonly message: string;
}

/** A file that was dropped on PNG info, with its texts or what is wrong with it. */
export interface InspectedPicture {
  readonly file: Blob;
  readonly outcome: PictureText | FileProblem | 'damaged';
}

/** The job that this page runs. */
export interface RunningJob {
  readonly params: GenerationParams;
  readonly abort: AbortController;
  /** Set by the first Interrupt: a second one no longer waits for the step to end. */
  readonly isStopping: boolean;
}

export type FormSignals = { readonly [Name in FieldName]: Signal<FormValues[Name]> };

/** Where adding models of the own disk stands. */
export interface ModelFilesState {
  readonly isReading: Signal<boolean>;
  /** What was added last. */
  readonly added: Signal<readonly AddedModel[]>;
  /** Added before a reload, and to be allowed again. */
  readonly locked: Signal<readonly LockedModel[]>;
  readonly problem: Signal<Problem | null>;
}

/** All that the page shows, as plain signals. */
export interface AppState {
  readonly view: Signal<View>;
  readonly server: Signal<ServerKind | null>;
  readonly baseUrl: Signal<string>;
  /** The bridge is on another machine. */
  readonly isFarPage: Signal<boolean>;
  /** Pictures are made by another tab, over the bridge. */
  readonly isRemote: Signal<boolean>;

  readonly status: Signal<EngineStatus>;
  readonly relay: Signal<RelayStatus>;
  readonly catalog: Signal<Catalog>;

  readonly form: FormSignals;
  readonly fieldProblems: Signal<FieldProblems>;
  readonly theme: Signal<Theme>;
  readonly showsPreview: Signal<boolean>;
  readonly lendsDevice: Signal<boolean>;
  /** False once the browser refused to keep settings. */
  readonly keepsSettings: Signal<boolean>;

  /** The picture that img2img begins with; none for txt2img. */
  readonly init: PictureSlot;
  /** The pictures of ControlNet units, by unit. */
  readonly controls: readonly PictureSlot[];

  readonly job: Signal<RunningJob | null>;
  readonly progress: Signal<GenerationProgress | null>;
  readonly preview: Signal<Blob | null>;
  /** The pictures of the running or last job, newest job only. */
  readonly pictures: Signal<readonly Picture[]>;
  readonly selectedIndex: Signal<number>;
  readonly summary: Signal<GenerationSummary | null>;
  readonly problem: Signal<Problem | null>;
  readonly checkpointProblem: Signal<Problem | null>;
  readonly engineProblem: Signal<Problem | null>;
  /** The engine is asking all sources what they have. */
  readonly isRefreshing: Signal<boolean>;

  /** The file that PNG info shows. */
  readonly inspected: Signal<InspectedPicture | null>;
  readonly apiJobs: ApiJobsState;
  readonly gallery: GalleryState;
  readonly compiled: CompiledState;
  readonly modelFiles: ModelFilesState;
  readonly downloads: DownloadsState;
  readonly tokenCounts: TokenCounts;
  readonly edit: EditState;
  readonly styles: StylesState;

  readonly isRunning: ReadonlySignal<boolean>;
  readonly formValues: ReadonlySignal<FormValues>;
  readonly settings: ReadonlySignal<Settings>;
}

const NO_STATUS: EngineStatus = { state: 'loading', ...NOTHING_KNOWN };

function formSignals(values: FormValues): FormSignals {
  const entries = Object.entries(values).map(([name, value]) => [name, signal(value)]);
  return Object.fromEntries(entries) as FormSignals;
}

function readForm(form: FormSignals): FormValues {
  const entries = Object.entries(form).map(([name, field]) => [name, field.value]);
  return Object.fromEntries(entries) as FormValues;
}

/** The state of a page that has just been opened with these settings. */
export function createAppState(initial: Settings = DEFAULT_SETTINGS): AppState {
  const form = formSignals(initial.form);
  const theme = signal(initial.theme);
  const showsPreview = signal(initial.showsPreview);
  const lendsDevice = signal(initial.lendsDevice);
  const job = signal<RunningJob | null>(null);
  const values = computed(() => readForm(form));
  return {
    view: signal<View>('create'),
    server: signal<ServerKind | null>(null),
    baseUrl: signal(''),
    isFarPage: signal(false),
    isRemote: signal(false),
    status: signal(NO_STATUS),
    relay: signal<RelayStatus>({ state: 'off', message: '' }),
    catalog: signal<Catalog>({ checkpoints: [] }),
    form,
    fieldProblems: signal<FieldProblems>({}),
    theme,
    showsPreview,
    lendsDevice,
    keepsSettings: signal(true),
    init: createPictureSlot(),
    controls: createControlSlots(),
    job,
    progress: signal<GenerationProgress | null>(null),
    preview: signal<Blob | null>(null),
    pictures: signal<readonly Picture[]>([]),
    selectedIndex: signal(0),
    summary: signal<GenerationSummary | null>(null),
    problem: signal<Problem | null>(null),
    checkpointProblem: signal<Problem | null>(null),
    engineProblem: signal<Problem | null>(null),
    isRefreshing: signal(false),
    inspected: signal<InspectedPicture | null>(null),
    apiJobs: createApiJobsState(),
    gallery: createGalleryState(),
    compiled: createCompiledState(),
    downloads: createDownloadsState(),
    modelFiles: {
      isReading: signal(false),
      added: signal<readonly AddedModel[]>([]),
      locked: signal<readonly LockedModel[]>([]),
      problem: signal<Problem | null>(null),
    },
    tokenCounts: createTokenCounts(),
    edit: createEditState(),
    styles: createStylesState(),
    isRunning: computed(() => job.value !== null),
    formValues: values,
    settings: computed(() => ({
      form: values.value,
      theme: theme.value,
      showsPreview: showsPreview.value,
      lendsDevice: lendsDevice.value,
    })),
  };
}

/** What was wrong with a field is mended. */
export function withoutProblem(state: AppState, field: FieldName): void {
  const { [field]: _, ...others } = state.fieldProblems.value;
  state.fieldProblems.value = others;
}

/** Sets form fields; the problems of the fields set are gone until Generate looks again. */
export function setFields(state: AppState, values: Partial<FormValues>): void {
  const remaining = { ...state.fieldProblems.value };
  for (const [name, value] of Object.entries(values)) {
    (state.form[name as FieldName] as Signal<unknown>).value = value;
    delete remaining[name as FieldName];
  }
  state.fieldProblems.value = remaining;
}
