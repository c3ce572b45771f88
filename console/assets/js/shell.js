// What stands around every view: where one can go, who one is, whether news come.

import { h, names } from './dom.js'
import { icon, mark } from './icons.js'
import { dialog } from './dialog.js'
import { short } from './format.js'
import { link } from './router.js'
import { list as shortcuts } from './shortcuts.js'
import * as theme from './theme.js'

const GROUPS = [
  ['Now', [['overview', 'Overview'], ['alerts', 'Alerts']]],
  ['Fleet', [['devices', 'Devices'], ['sources', 'Sources'], ['connections', 'Connections']]],
  ['Data', [['topics', 'Topics'], ['dead-letters', 'Dead letters'], ['lake', 'Lake']]],
  ['Here', [['settings', 'Settings']]],
]
const ON_PHONES = ['overview', 'alerts', 'devices', 'dead-letters']

/** How many things in a view want somebody. */
function badge(view, overview) {
  if (!overview) return null
  if (view === 'alerts' && overview.alerts.firing > 0) return h('span', { class: 'badge badge-critical' }, [short(overview.alerts.firing), h('span', { class: 'unseen' }, ' firing')])
  if (view === 'dead-letters' && overview.dead_letters.last_hour > 0) return h('span', { class: 'badge' }, [short(overview.dead_letters.last_hour), h('span', { class: 'unseen' }, ' in the last hour')])
  if (view === 'devices' && overview.devices.silent > 0) return h('span', { class: 'badge' }, [short(overview.devices.silent), h('span', { class: 'unseen' }, ' silent')])
  return null
}

function item([view, label], route, overview) {
  return h('a', { href: link(view), 'aria-current': route.view === view ? 'page' : null }, [icon(view, 18), h('span', { class: 'nav-label' }, label), badge(view, overview)])
}

function sidebar(app) {
  return h('header', { class: 'sidebar' }, [
    h('a', { class: 'brand', href: link('overview') }, [mark(), h('span', null, 'Tidemark')]),
    h('nav', { class: 'nav', 'aria-label': 'Views' }, GROUPS.map(([title, items]) => h('div', { class: 'nav-group' }, [
      h('p', { class: 'nav-title', 'aria-hidden': 'true' }, title),
      items.map((one) => item(one, app.route, app.overview?.value)),
    ]))),
    h('div', { class: 'sidebar-foot' }, [who(app), h('div', { class: 'row tight' }, tools(app))]),
  ])
}

function who(app) {
  if (!app.me) return null
  return h('p', { class: 'who' }, [h('strong', null, app.me.name), h('span', { class: 'quiet' }, app.me.role)])
}

function tools(app) {
  const chosen = theme.chosen()
  const look = { system: 'system', light: 'sun', dark: 'moon' }[chosen]
  return [
    h('button', { class: 'plain', type: 'button', title: `Colours: ${chosen} (t)`, 'aria-label': `Colours: ${chosen}. Change`, onclick: () => app.nextTheme() }, icon(look, 18)),
    h('button', { class: 'plain', type: 'button', title: 'Keyboard shortcuts (?)', 'aria-label': 'Keyboard shortcuts', onclick: () => shortcuts() }, icon('keyboard', 18)),
    app.api.hasCredentials ? h('button', { class: 'plain', type: 'button', title: 'Log out', 'aria-label': 'Log out', onclick: () => app.logout() }, icon('leave', 18)) : null,
  ]
}

const LIVE = {
  live: ['good', 'Live', 'News come as they happen'],
  connecting: ['quiet', 'Connecting', 'Asking for news'],
  lost: ['warning', 'Not live', 'News do not come: trying again. Click to try now'],
}

function liveness(app) {
  const [kind, text, title] = LIVE[app.live.state]
  return h('button', { class: `live live-${kind}`, type: 'button', title, onclick: () => app.live.retry() }, [h('span', { class: 'dot', 'aria-hidden': 'true' }), text])
}

function phoneBar(app) {
  const all = GROUPS.flatMap(([, items]) => items)
  const shown = all.filter(([view]) => ON_PHONES.includes(view))
  const elsewhere = !ON_PHONES.includes(app.route.view)
  return h('nav', { class: 'phone-bar', 'aria-label': 'Views, for small screens' }, [
    shown.map((one) => item(one, app.route, app.overview?.value)),
    h('button', { type: 'button', class: names({ current: elsewhere }), 'aria-haspopup': 'dialog', onclick: () => more(app) }, [icon('more', 18), h('span', { class: 'nav-label' }, 'More')]),
  ])
}

function more(app) {
  const rest = GROUPS.flatMap(([, items]) => items).filter(([view]) => !ON_PHONES.includes(view))
  return dialog({
    title: 'More',
    draw: (close) => [
      h('nav', { class: 'more', 'aria-label': 'More views', onclick: (event) => { if (event.target.closest('a')) close() } }, rest.map((one) => item(one, app.route, null))),
      h('div', { class: 'more-foot', onclick: () => close() }, [who(app), h('div', { class: 'row tight' }, tools(app))]),
    ],
  })
}

/** The page: `view` has a title, perhaps what leads to it, and a body. */
export function shell(app, view) {
  return [
    h('a', { class: 'skip', href: '#main', onclick: (event) => { event.preventDefault(); document.getElementById('main').focus() } }, 'Skip to the content'),
    h('div', { class: 'shell' }, [
      sidebar(app),
      h('main', { class: 'stage', id: 'main', tabindex: -1 }, [
        h('div', { class: 'top' }, [
          h('div', { class: 'top-title' }, [
            view.back ? h('a', { class: 'back', href: view.back.href, 'aria-label': `Back to ${view.back.label}` }, [icon('back', 16), h('span', null, view.back.label)]) : null,
            h('h1', { id: 'title', tabindex: -1 }, view.title),
            view.beside ?? null,
          ]),
          h('div', { class: 'row' }, [view.actions ?? null, liveness(app)]),
        ]),
        h('div', { 'data-scroller': true, class: names('view', `view-${app.route.view}`), key: [app.route.view, ...app.route.parts].join('/') }, view.body),
      ]),
      phoneBar(app),
    ]),
  ]
}
