/** The dashboard's entry. */
import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import '@xterm/xterm/css/xterm.css';
import './style.css';
import { App } from './app.tsx';
import { refresh, watchVisibility } from './live.ts';
import { applyScheme } from './scheme.ts';
import { takeTokenFromAddress } from './token.ts';

takeTokenFromAddress();
applyScheme();
watchVisibility();
const page = document.getElementById('page')!;
page.replaceChildren();
render(<App />, page);
void refresh();
