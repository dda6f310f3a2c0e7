'use strict';
// The page asks for /v2/dashboard every other second and shows the difference to the answer before: counters only grow. Everything
// is put in as text, never as markup.

const words = {
  en: { language: '中文', ready: 'ready', busy: 'starting or draining', pause: 'Pause', gate: 'This server answers on its own machine, or to the admin token:', show: 'Show', rate: 'Requests/s', latency: 'Latency, ms', models: 'Models',
    version: 'Version', state: 'State', roles: 'Answers as', failed: 'Failed', batch: 'Rows a batch', waiting: 'Waiting', hits: 'Cache hits', weights: 'Weights, MB', gpus: 'GPUs', device: 'Device', memory: 'Memory, GB', busy2: 'Busy',
    jobs: 'Jobs', job: 'Job', trainer: 'Trainer', model: 'Model', log: 'Warnings and errors', time: 'Time', level: 'Level', message: 'What happened', code: 'Code', request: 'Request', none: 'none', all: 'Show all again', of: 'Lines of request',
    stable: 'stable', canary: 'canary', shadow: 'shadow', newest: 'newest', lost: 'taken out', gone: 'The server does not answer', ago: 'the last 4 minutes', cacheMB: 'Cache, MB', hitShare: 'Answered from cache' },
  zh: { language: 'English', ready: '就绪', busy: '启动或排空中', pause: '暂停', gate: '此服务器只应答本机，或持管理令牌者：', show: '显示', rate: '每秒请求', latency: '延迟（毫秒）', models: '模型',
    version: '版本', state: '状态', roles: '角色', failed: '失败', batch: '每批行数', waiting: '等待', hits: '缓存命中', weights: '权重（MB）', gpus: 'GPU', device: '设备', memory: '显存（GB）', busy2: '占用',
    jobs: '作业', job: '作业', trainer: '训练器', model: '模型', log: '警告与错误', time: '时间', level: '级别', message: '事件', code: '代码', request: '请求', none: '无', all: '显示全部', of: '请求的日志',
    stable: '稳定', canary: '金丝雀', shadow: '影子', newest: '最新', lost: '已摘除', gone: '服务器没有应答', ago: '最近 4 分钟', cacheMB: '缓存（MB）', hitShare: '缓存应答' },
};
const period = 2000, kept = 120;
let lang = navigator.language.startsWith('zh') ? 'zh' : 'en';
let token = '', last = null, paused = false, pressed = false, request = new URLSearchParams(location.hash.slice(1)).get('request') || '';
const history = { rate: [], p50: [], p99: [] };

const $ = (id) => document.getElementById(id);
const t = (key) => words[lang][key] || key;
function make(tag, text, className) {
  const e = document.createElement(tag);
  if (text !== undefined && text !== null) e.textContent = text;
  if (className) e.className = className;
  return e;
}
function row(cells, className) {
  const tr = make('tr', null, className);
  for (const c of cells) tr.append(c instanceof Node ? c : make('td', c));
  return tr;
}
const number = (n, digits = 1) => (Number.isFinite(n) ? n.toLocaleString(lang, { maximumFractionDigits: digits }) : '–');
const right = (text) => make('td', text, 'n');

async function ask(path) {
  const r = await fetch(path, { headers: token ? { Authorization: 'Bearer ' + token } : {}, cache: 'no-store' });
  const body = await r.json();
  if (!r.ok) throw Object.assign(new Error(body.error), { code: body.code });
  return body;
}

// quantile finds where a share of the counts below rising limits is reached, evenly within a step.
function quantile(counts, total, limits, share) {
  if (!(total > 0)) return NaN;
  const want = share * total;
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] < want) continue;
    const low = i ? limits[i - 1] : 0, before = i ? counts[i - 1] : 0;
    return (low + (limits[i] - low) * (want - before) / Math.max(counts[i] - before, 1)) / 1e6;
  }
  return limits[limits.length - 1] / 1e6;
}

// since gives what a version did since the answer before; a version that was loaded anew begins at nothing.
function since(model, v) {
  const old = last && last.models.find((m) => m.name === model)?.versions.find((x) => x.version === v.version);
  const from = old && old.requests <= v.requests && old.failures <= v.failures ? old : null;
  const sub = (a, key) => a - (from ? from[key] : 0);
  let batches = 0, rows = 0;
  for (const [n, count] of Object.entries(v.batches)) {
    const c = count - (from?.batches[n] || 0);
    batches += c; rows += c * Number(n);
  }
  return { requests: sub(v.requests, 'requests'), failures: sub(v.failures, 'failures'), hits: sub(v.cache_hits, 'cache_hits'), batches, rows,
    latency: v.latency.map((n, i) => n - (from?.latency[i] || 0)) };
}

function roles(m, v) {
  const td = make('td'), n = Number(v.version);
  const tag = (text) => td.append(make('span', text, 'tag'));
  if (m.stable === n) tag(t('stable'));
  if (!m.stable && v.serves && m.versions.find((x) => x.serves) === v) tag(t('newest'));
  if (m.canary === n) tag(`${t('canary')} ${number(m.canary_percent)} %`);
  if (m.shadow === n) tag(`${t('shadow')} ${number(m.shadow_percent)} %`);
  for (const [name, to] of Object.entries(m.aliases)) if (to === n && !['stable', 'canary', 'previous'].includes(name)) tag(name);
  return td;
}

function draw(now) {
  const seconds = last ? (Date.parse(now.time) - Date.parse(last.time)) / 1000 : NaN;
  const all = { requests: 0, failures: 0, hits: 0, batches: 0, rows: 0, latency: now.limits_ns.map(() => 0) };
  const body = [];
  for (const m of now.models) {
    const head = make('td', m.name);
    head.colSpan = 11;
    body.push(row([head], 'model'));
    for (const v of m.versions) {
      const d = since(m.name, v);
      for (const key of ['requests', 'failures', 'hits', 'batches', 'rows']) all[key] += d[key];
      d.latency.forEach((n, i) => { all.latency[i] += n; });
      const state = make('td', v.state + (v.reason ? ': ' + v.reason : ''), 'state ' + (v.state === 'READY' ? 'good' : v.state === 'UNAVAILABLE' && v.reason && v.reason !== 'unloaded' ? 'bad' : ''));
      const figures = v.serves ? [number(d.requests / seconds), number(v.failures, 0), number(quantile(d.latency, d.requests, now.limits_ns, 0.5), 2), number(quantile(d.latency, d.requests, now.limits_ns, 0.99), 2),
        number(d.rows / d.batches), number(v.waiting, 0), number(100 * d.hits / d.requests) + (d.requests ? ' %' : ''), number(v.weights_bytes / 1e6)] : ['', '', '', '', '', '', '', ''];
      body.push(row([v.version, state, roles(m, v), ...figures.map(right)]));
    }
  }
  $('models').replaceChildren(...(body.length ? body : [row([t('none')])]));
  const p50 = quantile(all.latency, all.requests, now.limits_ns, 0.5), p99 = quantile(all.latency, all.requests, now.limits_ns, 0.99);
  if (last) {
    for (const [key, value] of [['rate', all.requests / seconds], ['p50', p50], ['p99', p99]]) {
      history[key].push(value);
      if (history[key].length > kept) history[key].shift();
    }
  }
  const tiles = [[t('rate'), number(all.requests / seconds)], [t('failed') + '/s', number(all.failures / seconds)], ['p50, ms', number(p50, 2)], ['p99, ms', number(p99, 2)], [t('batch'), number(all.rows / all.batches)],
    [t('hitShare'), all.requests ? number(100 * all.hits / all.requests) + ' %' : '–'], [t('cacheMB'), number(now.cache.bytes / 1e6)]];
  $('tiles').replaceChildren(...tiles.map(([k, v]) => { const d = make('div'); d.append(make('dt', k), make('dd', v)); return d; }));
  $('version').textContent = now.version;
  $('ready').textContent = now.ready ? t('ready') : t('busy');
  $('ready').className = now.ready ? 'good' : 'bad';
  chart('rate', [[t('rate'), history.rate]]);
  chart('latency', [['p50', history.p50], ['p99', history.p99]]);
  $('s-gpus').hidden = !now.gpus.length;
  const known = (n, unit = '') => (n < 0 ? '–' : number(n) + unit);
  $('gpus').replaceChildren(...now.gpus.map((g) => row([g.name, make('td', g.lost ? `${t('lost')}: ${g.lost}` : t('ready'), g.lost ? 'bad' : 'good'), right(known(g.used_bytes / 1e9) + ' / ' + known(g.total_bytes < 0 ? -1 : g.total_bytes / 1e9)), right(known(g.utilization_percent, ' %')), right(known(g.temperature_celsius))])));
  $('s-jobs').hidden = !now.jobs.length;
  $('jobs').replaceChildren(...now.jobs.map((j) => row([j.id, j.trainer, j.model, make('td', j.state + (j.code ? ': ' + j.code : ''), j.state === 'failed' ? 'bad' : '')])));
  last = now;
}

const svg = (tag, attributes, text) => {
  const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
  if (text !== undefined) e.textContent = text;
  return e;
};

// chart draws lines over the last minutes, each from zero to the greatest value of all. It is as wide as its place,
// so that its texts keep their size on a phone.
function chart(id, series) {
  const w = Math.max(240, $(id).clientWidth), h = 170, left = 52, most = Math.max(0, ...series.flatMap(([, v]) => v.filter(Number.isFinite)));
  const top = niceAbove(most || 1), latest = series.map(([name, v]) => `${name} ${number(v[v.length - 1], 2)}`).join(', ');
  const s = svg('svg', { viewBox: `0 0 ${w} ${h}`, role: 'img', 'aria-label': `${latest}, ${t('ago')}` });
  for (const part of [0, 0.5, 1]) {
    const y = h - 22 - part * (h - 34);
    s.append(svg('line', { class: 'grid', x1: left, x2: w, y1: y, y2: y }), svg('text', { x: left - 6, y: y + 4, 'text-anchor': 'end' }, number(part * top, 2)));
  }
  s.append(svg('text', { x: w, y: h - 4, 'text-anchor': 'end' }, t('ago')));
  series.forEach(([, values], k) => {
    let d = '', pen = false;
    values.forEach((v, i) => {
      if (!Number.isFinite(v)) { pen = false; return; }
      d += `${pen ? 'L' : 'M'}${(w - (values.length - 1 - i) * (w - left) / (kept - 1)).toFixed(1)} ${(h - 22 - v / top * (h - 34)).toFixed(1)}`;
      if (!pen) d += 'h0'; // a value between none is a point
      pen = true;
    });
    if (d) s.append(svg('path', { class: 's' + k, d }));
  });
  const parts = [s];
  if (series.length > 1) {
    const key = make('div', null, 'key');
    series.forEach(([name], k) => {
      const line = svg('svg', { viewBox: '0 0 32 12', 'aria-hidden': 'true' }), e = make('span');
      line.append(svg('path', { class: 's' + k, d: 'M0 6H32' }));
      e.append(line, name);
      key.append(e);
    });
    parts.push(key);
  }
  $(id).replaceChildren(...parts);
}

function niceAbove(x) {
  const p = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 5, 10].find((m) => m * p >= x) * p;
}

function drawLog(lines) {
  $('filter').hidden = !request;
  if (request) {
    const back = make('button', t('all'), 'link');
    back.type = 'button';
    back.onclick = () => choose('');
    $('filter').replaceChildren(`${t('of')} ${request}. `, back);
  }
  const rows = lines.map((l) => {
    const td = make('td');
    if (l.request_id) {
      const b = make('button', l.request_id, 'link');
      b.type = 'button';
      b.onclick = () => choose(l.request_id);
      td.append(b);
    }
    return row([new Date(l.time).toLocaleTimeString(lang, { hour12: false }), make('td', l.level, l.level === 'ERROR' ? 'bad' : ''), make('td', l.msg + (l.error ? ': ' + l.error : ''), 'wrap'), l.code || '', l.model || '', td]);
  });
  $('log').replaceChildren(...(rows.length ? rows : [row([t('none')])]));
}

function choose(id) {
  request = id;
  window.history.replaceState(null, '', id ? '#request=' + encodeURIComponent(id) : '#');
  tick();
}

async function tick() {
  try {
    const [now, log] = await Promise.all([ask('/v2/dashboard'), ask('/v2/logs?limit=30&' + (request ? 'request_id=' + encodeURIComponent(request) : 'level=warn'))]);
    if (pressed) return; // what is replaced between the finger's going down and up is not pressed
    if (!last || now.time !== last.time) draw(now);
    drawLog(log.lines.reverse());
    $('problem').hidden = $('gate').hidden = true;
    document.body.dataset.shown = 'yes';
  } catch (e) {
    $('gate').hidden = e.code !== 'admin_forbidden';
    $('problem').hidden = false;
    $('problem').textContent = e.code ? e.message : t('gone');
  }
}

function speak() {
  document.documentElement.lang = lang === 'zh' ? 'zh-CN' : 'en';
  for (const e of document.querySelectorAll('[data-text]')) e.textContent = t(e.dataset.text);
  $('language').textContent = t('language');
  $('language').lang = lang === 'zh' ? 'en' : 'zh-CN';
  if (last) { const now = last; last = null; draw(now); }
}

$('language').onclick = () => { lang = lang === 'zh' ? 'en' : 'zh'; speak(); };
$('pause').onclick = () => { paused = !paused; $('pause').setAttribute('aria-pressed', paused); };
$('gate').onsubmit = (e) => { e.preventDefault(); token = $('token').value; tick(); };
document.addEventListener('pointerdown', () => { pressed = true; }, true);
for (const end of ['pointerup', 'pointercancel']) document.addEventListener(end, () => setTimeout(() => { pressed = false; }), true);
speak();
tick();
setInterval(() => { if (!paused && !document.hidden) tick(); }, period);
