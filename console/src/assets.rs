//! The files of the page, as they are in `assets/`, by the path that they are asked for.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A file of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// Its bytes, as they are sent.
    pub bytes: &'static [u8],
    /// Its `Content-Type`.
    pub content_type: &'static str,
    /// Its `ETag`, with quotes: it changes with the bytes.
    pub etag: &'static str,
}

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        [$(($path, include_bytes!(concat!("../assets/", $path)).as_slice())),*]
    };
}

/// Every file; a test holds it against the folder.
static FILES: [(&str, &[u8]); 49] = files![
    "css/base.css",
    "css/parts.css",
    "css/shell.css",
    "css/views.css",
    "fonts/inter-LICENSE.txt",
    "fonts/inter.woff2",
    "fonts/jetbrains-mono-LICENSE.txt",
    "fonts/jetbrains-mono.woff2",
    "icon.svg",
    "index.html",
    "js/api.js",
    "js/chart.js",
    "js/dialog.js",
    "js/dom.js",
    "js/format.js",
    "js/frame.js",
    "js/history.js",
    "js/icons.js",
    "js/list.js",
    "js/live.js",
    "js/login.js",
    "js/main.js",
    "js/pages.js",
    "js/parts.js",
    "js/past.js",
    "js/payload.js",
    "js/resource.js",
    "js/router.js",
    "js/say.js",
    "js/shell.js",
    "js/shortcuts.js",
    "js/spark.js",
    "js/states.js",
    "js/steps.js",
    "js/theme-first.js",
    "js/theme.js",
    "js/views/alerts.js",
    "js/views/connections.js",
    "js/views/dead_letters.js",
    "js/views/device.js",
    "js/views/devices.js",
    "js/views/lake.js",
    "js/views/overview.js",
    "js/views/settings.js",
    "js/views/sources.js",
    "js/views/topics.js",
    "vendor/uplot-LICENSE.txt",
    "vendor/uplot.css",
    "vendor/uplot.js",
];

static ASSETS: LazyLock<BTreeMap<&'static str, Asset>> = LazyLock::new(|| {
    let made = FILES.iter().map(|(path, bytes)| {
        let etag: &'static str = format!("\"{:016x}\"", fnv1a(bytes)).leak();
        (*path, Asset { bytes, content_type: content_type(path), etag })
    });
    made.collect()
});

/// The file that is asked for by the path of a request, such as `/` or `/js/main.js`.
#[must_use]
pub fn asset(path: &str) -> Option<Asset> {
    let path = path.strip_prefix('/').unwrap_or(path);
    ASSETS.get(if path.is_empty() { "index.html" } else { path }).copied()
}

/// Every path that [`asset`] knows, without its first slash.
pub fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(path, _)| *path)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, end)| end) {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "woff2" => "font/woff2",
        _ => "text/plain; charset=utf-8",
    }
}

/// FNV-1a: tells versions of a file apart, and proves nothing.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
