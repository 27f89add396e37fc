import { createRoot } from 'react-dom/client';
import { App } from './App';
import { applyLanguage, pickLanguage } from './i18n';
import './styles/tokens.css';
import './styles/base.css';
import './styles/frame.css';
import './styles/parts.css';
import './styles/pages.css';

const root = document.getElementById('root');
if (root) void applyLanguage(pickLanguage(null)).then(() => createRoot(root).render(<App />));
