// Who the server is: asked once, and again when it comes back.
import { createContext, useContext, useEffect, type ReactNode } from 'react';
import type { Session } from '../api/types';
import { useApi } from '../api/useApi';
import { applyLanguage, LANGUAGES, type Language } from '../i18n';
import { getPreference } from '../preferences';

const Context = createContext<Session | null>(null);

export function SessionProvider({ children }: { children: ReactNode }) {
  const session = useApi<Session>('/api/v1/session').data;
  const language = session?.language as Language | null | undefined;
  useEffect(() => {
    // The server's language holds until a person chooses one.
    if (language && LANGUAGES.includes(language) && getPreference('language', null) === null) void applyLanguage(language);
  }, [language]);
  return <Context.Provider value={session}>{children}</Context.Provider>;
}

export function useSession(): Session | null {
  return useContext(Context);
}
