// Graphs: uPlot in the page's colours. A graph is a picture with a description; the numbers themselves stand in a table beside it.

import { html, useEffect, useRef } from './vendor/preact.js';
import uPlot from './vendor/uplot.js';
import { zone } from './format.js';

const scheme = matchMedia('(prefers-color-scheme: dark)');

let styled = false;

// uPlot has a style sheet of its own, which only views with graphs need.
function style() {
  if (styled) return;
  styled = true;
  const link = document.createElement('link');
  link.rel = 'stylesheet';
  link.href = 'vendor/uplot.css';
  document.head.append(link);
}

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function axis(values, more) {
  return { stroke: color('quiet'), values, grid: { stroke: color('grid'), width: 1 }, ticks: { stroke: color('grid'), width: 1 }, font: '12px system-ui, sans-serif', ...more };
}

function optionsOf({ series, format, formatX, time, height, kind, onRange }, width) {
  const chosen = (plot) => {
    if (plot.select.width > 4) onRange(plot.posToVal(plot.select.left, 'x'), plot.posToVal(plot.select.left + plot.select.width, 'x'));
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
  };
  return {
    width, height, legend: { show: false }, cursor: onRange ? { drag: { x: true, y: false, setScale: false }, y: false, points: { show: false } } : { show: false },
    hooks: onRange ? { setSelect: [chosen] } : {}, padding: [8, 8, 0, 0],
    tzDate: (at) => (zone.value === 'utc' ? uPlot.tzDate(new Date(at * 1000), 'Etc/UTC') : new Date(at * 1000)),
    scales: { x: { time: Boolean(time) }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.1 : 1] } },
    axes: [axis(formatX && ((_, ticks) => ticks.map(formatX)), { size: 28, space: 60 }), axis((_, ticks) => ticks.map(format), { size: 86, space: 28 })],
    series: [{}, ...series.map((s, i) => ({
      label: s.label, stroke: color(`graph-${i + 1}`), width: 1.5, spanGaps: false, points: { show: kind === 'points', size: 5 },
    }))],
  };
}

/**
 * Graph draws series over xs. A value of null is a gap.
 *
 * label describes the picture for people who do not see it; format writes the values of the axis, formatX those of xs. time says that xs are seconds
 * since 1970. kind "points" marks each value. onRange, if given, is told the range of xs that a person drags over.
 * @param {{label: string, xs: number[], series: {label: string, values: (number|null)[]}[], format: (n: number) => string, formatX?: (n: number) => string, time?: boolean, height?: number, kind?: string, onRange?: (from: number, to: number) => void}} props
 */
export function Graph(props) {
  const { label, xs, series, height = 140 } = props;
  const place = useRef(null);
  const plot = useRef(null);
  const latest = useRef(props);
  latest.current = { ...props, height };
  const data = [xs, ...series.map((s) => s.values)];
  const names = series.map((s) => s.label).join('\u0000');
  useEffect(() => {
    style();
    const draw = () => {
      plot.current?.destroy();
      const now = latest.current;
      plot.current = new uPlot(optionsOf(now, Math.max(120, place.current.clientWidth)), [now.xs, ...now.series.map((s) => s.values)], place.current);
    };
    draw();
    const resize = new ResizeObserver(([entry]) => {
      const width = Math.max(120, Math.floor(entry.contentRect.width));
      if (plot.current && width !== plot.current.width) plot.current.setSize({ width, height });
    });
    resize.observe(place.current);
    scheme.addEventListener('change', draw); // a canvas keeps the colours that it was drawn with
    return () => { resize.disconnect(); scheme.removeEventListener('change', draw); plot.current.destroy(); plot.current = null; };
  }, [names, height]);
  useEffect(() => { plot.current?.setData(data); }, [xs, series]);
  return html`<figure class="graph">
    <div ref=${place} role="img" aria-label=${label} class="plot"></div>
    ${series.length > 1 && html`<figcaption>${series.map((s, i) => html`<span key=${s.label} class=${`key key-${i + 1}`}>${s.label}</span>`)}</figcaption>`}
  </figure>`;
}
