import type { ActionContext } from '../actions.ts';
import { ConnectionView } from './connection-view.tsx';
import { AppContext } from './context.ts';
import { CreateView } from './create-view.tsx';
import { GalleryView } from './gallery-view.tsx';
import { Header } from './header.tsx';
import { PngInfoView } from './png-info-view.tsx';
import { StatusBar } from './status-lines.tsx';

function CurrentView({ context }: { context: ActionContext }) {
  switch (context.state.view.value) {
    case 'connection':
      return <ConnectionView />;
    case 'gallery':
      return <GalleryView />;
    case 'png-info':
      return <PngInfoView />;
    default:
      return <CreateView />;
  }
}

/** The whole page. */
export function App({ context }: { context: ActionContext }) {
  return (
    <AppContext.Provider value={context}>
      <Header />
      <CurrentView context={context} />
      <StatusBar />
    </AppContext.Provider>
  );
}
