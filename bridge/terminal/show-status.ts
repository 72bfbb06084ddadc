import type { Bridge } from '../bridge.ts';
import { activityText, isPreparing, progressText, type StatusLine } from './status-line.ts';

const SHOW_MS = 250;

/** Keeps the status line about loading, compiling and sampling up to date; returns how to end that. */
export function showStatus(bridge: Bridge, line: StatusLine): () => void {
  const show = () => {
    const progress = bridge.services.jobs.view().current?.progress;
    const busy = bridge.relay.list().find(({ status }) => status.activity !== null)?.status;
    if (progress && !(isPreparing(progress) && busy)) return line.show(progressText(progress));
    const activity = busy?.activity ?? bridge.downloads.activity();
    line.show(activity ? activityText(activity) : '');
  };
  const endings = [bridge.relay.onChange(show), bridge.services.jobs.onEvent(show)];
  // Downloads tell their states alone: their bytes come too fast to be told.
  const timer = setInterval(show, SHOW_MS);
  return () => {
    clearInterval(timer);
    for (const end of endings) end();
    line.show('');
  };
}
