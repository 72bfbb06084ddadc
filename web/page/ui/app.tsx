import type { ActionContext } from '../actions.ts';
import { AppContext } from './context.ts';
import { CreateView } from './create-view.tsx';
import { GalleryView } from './gallery-view.tsx';
import { Header } from './header.tsx';
import { LazyEdit } from './lazy-edit.tsx';
import { ModelsView } from './models-view.tsx';
import { PngInfoView } from './png-info-view.tsx';
import { SettingsView } from './settings-view.tsx';
import { StatusBar } from './status-lines.tsx';

function CurrentView({ context }: { context: ActionContext }) {
  switch (context.state.view.value) {
    case 'gallery':
      return <GalleryView />;
    case 'png-info':
      return <PngInfoView />;
    case 'models':
      return <ModelsView />;
    case 'settings':
      return <SettingsView />;
    case 'edit':
      return <LazyEdit />;
    case 'create':
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
