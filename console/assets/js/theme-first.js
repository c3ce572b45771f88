// Light or dark, before the first paint; modules come too late for that.
{
  let chosen = null
  try {
    chosen = localStorage.getItem('tidemark-theme')
  } catch {
    // No storage: the system's colours.
  }
  const root = document.documentElement
  root.dataset.chosen = chosen === 'light' || chosen === 'dark' ? chosen : 'system'
  root.dataset.theme = root.dataset.chosen !== 'system' ? chosen : matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
}
