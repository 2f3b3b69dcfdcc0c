/** What is wrong with the page for somebody who does not see it, or sees little. Runs in the page. */

const MIN_CONTRAST = 4.5;

export function audit(): string[] {
  return [...names(), ...structure(), ...contrasts(), ...sizes()];
}

const visible = (element: Element) =>
  element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
const all = (selector: string) => [...document.querySelectorAll<HTMLElement>(selector)].filter(visible);
const describe = (element: Element) => element.outerHTML.slice(0, 90);

/** Whatever can be used says what it is. */
function names(): string[] {
  const silent = all('button, a[href], input, select, [role=img], meter, progress').filter((element) => {
    const labels = (element as HTMLInputElement).labels;
    const text =
      element.getAttribute('aria-label') ?? (labels?.length ? labels[0]!.textContent : element.textContent);
    return (text ?? '').trim() === '';
  });
  return silent.map((element) => `has no name: ${describe(element)}`);
}

function structure(): string[] {
  const problems: string[] = [];
  if (document.documentElement.lang === '') problems.push('the page has no language');
  if (all('main').length !== 1) problems.push('there is not one main part');
  if (all('h1').length !== 1) problems.push('there is not one first heading');
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  const twice = ids.filter((id, index) => ids.indexOf(id) !== index);
  problems.push(...twice.map((id) => `the id ${id} is there twice`));
  for (const table of all('table')) {
    if (table.querySelectorAll('thead th:not([scope])').length > 0)
      problems.push('a heading without a scope');
  }
  for (const element of document.querySelectorAll('[aria-labelledby]')) {
    const id = element.getAttribute('aria-labelledby')!;
    if (!document.getElementById(id)) problems.push(`labelled by ${id}, which is not there`);
  }
  if (!document.querySelector('[aria-live]')) problems.push('nothing is announced');
  return problems;
}

/** Text against what is behind it, by WCAG's formula. */
function contrasts(): string[] {
  const problems = new Set<string>();
  for (const element of all('body *')) {
    const ownText = [...element.childNodes].some(
      (node) => node.nodeType === 3 && node.textContent!.trim() !== '',
    );
    if (!ownText || element.closest('.xterm, :disabled, svg, main.stale')) continue;
    const [text, ground] = [luminance(getComputedStyle(element).color), luminance(backgroundOf(element))];
    const contrast = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
    if (contrast < MIN_CONTRAST) problems.add(`contrast ${contrast.toFixed(2)}: ${describe(element)}`);
  }
  return [...problems];
}

function backgroundOf(element: Element | null): string {
  for (let at = element; at; at = at.parentElement) {
    const { backgroundColor } = getComputedStyle(at);
    if (!/rgba\(.*, 0\)|transparent/.test(backgroundColor)) return backgroundColor;
  }
  return getComputedStyle(document.documentElement).backgroundColor;
}

function luminance(colour: string): number {
  const [red, green, blue] = (colour.match(/[\d.]+/g) ?? []).map((part) => {
    const value = Number(part) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}

/** Nothing to tap is smaller than WCAG's 24 pixels, and the page is not wider than its window. */
function sizes(): string[] {
  const small = all('button, input:not([type=radio]), select').filter((element) => element.offsetHeight < 24);
  const wide = document.documentElement.scrollWidth > innerWidth;
  return [
    ...small.map((element) => `is ${element.offsetHeight} pixels high: ${describe(element)}`),
    ...(wide ? [`is ${document.documentElement.scrollWidth} pixels wide, of ${innerWidth}`] : []),
  ];
}
