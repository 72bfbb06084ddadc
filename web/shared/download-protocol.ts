import type {
  DownloadAction,
  DownloadRequest,
  DownloadView,
} from '../../protocol/downloads/download-view.ts';
import type { SerializedError } from '../../protocol/errors.ts';

/** Page to the worker that downloads into the browser's storage. Calls with an `id` are answered once. */
export type DownloadWorkerRequest =
  | { readonly type: 'start'; readonly call: number; readonly request: DownloadRequest }
  | {
      readonly type: 'act';
      readonly call: number;
      readonly id: string;
      readonly action: DownloadAction;
    };

/** Worker to page. */
export type DownloadWorkerMessage =
  | { readonly type: 'views'; readonly views: readonly DownloadView[] }
  | { readonly type: 'done'; readonly call: number; readonly error: SerializedError | null };
