import type { Bridge } from '../bridge.ts';
import { activityText, progressText, type StatusLine } from './status-line.ts';

/** Keeps the status line about loading, compiling and sampling up to date; returns how to end that. */
export function showStatus(bridge: Bridge, line: StatusLine): () => void {
  const show = () => {
    const progress = bridge.services.jobs.view().current?.progress;
    if (progress) return line.show(progressText(progress));
    const busy = bridge.relay.list().find(({ status }) => status.activity !== null);
    line.show(busy?.status.activity ? activityText(busy.status.activity) : '');
  };
  const endings = [bridge.relay.onChange(show), bridge.services.jobs.onEvent(show)];
  return () => {
    for (const end of endings) end();
    line.show('');
  };
}
