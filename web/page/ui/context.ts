import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { ActionContext } from '../actions.ts';

export const AppContext = createContext<ActionContext | null>(null);

/** State and engine, for every component below `App`. */
export function useApp(): ActionContext {
  const context = useContext(AppContext);
  if (!context) throw new Error('useApp outside of App');
  return context;
}
