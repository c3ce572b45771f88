//! From payload to rule: what a message becomes can be seen before it is sent, and a table of one's own goes the whole way.

use crate::harness::{Site, text, tidemark, wait_for};
use crate::payloads::publish;

fn tried(arguments: &[&str]) -> (Option<i32>, String) {
    let output = tidemark().args(["map", "try"]).args(arguments).output().unwrap();
    (output.status.code(), text(&output))
}

#[test]
fn map_try_shows_rule_rows_and_what_the_flags_mean() {
    let (code, shown) = tried(&["--topic", "home/livingroom/temperature", "--payload", "21,5"]);
    assert_eq!(code, Some(0), "{shown}");
    for part in [
        "built-in rule for `#`",
        "device_id    livingroom",
        "value        21.5",
        "unmapped: No rule",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let (code, shown) = tried(&["--topic", "home/x", "--payload", "{", "--format", "json"]);
    assert_eq!(code, Some(1), "it would be a dead letter: {shown}");
    assert!(shown.contains("json_truncated"), "{shown}");
}

#[test]
fn inv12_a_rule_that_makes_no_sense_is_named_with_its_line() {
    let hidden = "[[ingest.topics]]\nfilter = \"a/#\"\ndecoder = \"values\"\n\n[[ingest.topics]]\nfilter = \"a/b\"\ndecoder = \"values\"\n";
    let site = Site::new(hidden);
    let output =
        tidemark().args(["up", "--check", "--config"]).arg(site.config()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let (shown, config) = (text(&output), std::fs::read_to_string(site.config()).unwrap());
    let line = 1 + config
        .lines()
        .enumerate()
        .filter(|(_, line)| *line == "[[ingest.topics]]")
        .nth(1)
        .unwrap()
        .0;
    assert!(shown.contains(&format!("line {line}")), "{shown}");
    assert!(shown.contains("`a/#` before it takes all its topics"), "{shown}");
}

#[test]
fn inv10_a_table_of_ones_own_goes_from_configuration_to_lake() {
    let orders = r#"
[tables.orders]
about = "An item of an order a row."
[tables.orders.columns]
order_id = { type = "bigint", required = true, about = "Number of the order." }
sku = "string"
price = "double"

[[ingest.topics]]
filter = "shop/+/orders"
decoder = "json"
site = "{1}"
device = "web"
settings = { table = "orders", rows = "/items", columns = { order_id = "/id" } }
"#;
    let site = Site::new(orders);
    let up = site.up();
    let order =
        br#"{"id":7,"items":[{"sku":"a","price":1.5},{"sku":"b","price":2.5,"note":"fragile"}]}"#;
    publish(
        &site,
        &[("shop/vienna/orders", order.to_vec()), ("shop/vienna/orders", b"{}".to_vec())],
    );
    wait_for("both to land", || site.status()["landed"].as_u64() == Some(2));
    assert_eq!((site.rows("orders"), site.rows("dead_letters")), (2, 1));
    up.stop();
    let lake = site.folder.path().join("lake").display().to_string();
    let described = tidemark().args(["tables", "--describe", "--lake", &lake]).output().unwrap();
    let shown = text(&described);
    assert!(shown.contains("## orders") && shown.contains("Number of the order."), "{shown}");
    let checked = tidemark().args(["check", "--lake", &lake]).output().unwrap();
    assert!(checked.status.success(), "{}", text(&checked));
}

#[test]
fn rules_are_suggested_for_readings_that_none_is_for() {
    let site = Site::new("");
    let up = site.up();
    let messages = [
        ("home/livingroom/temperature", "21.5"),
        ("home/cellar/temperature", "14"),
        ("plant/press/state", r#"{"temperature":21.5,"lamp":"on"}"#),
        ("zigbee2mqtt/kitchen_sensor", r#"{"humidity":51.2,"temperature":21.37}"#),
        ("dt/ward/dev/readings", r#"{"metric":"spo2","value":97}"#),
    ];
    publish(&site, &messages.map(|(topic, payload)| (topic, payload.as_bytes().to_vec())));
    wait_for("all to land", || site.status()["landed"].as_u64() == Some(5));
    up.stop();
    let lake = site.folder.path().join("lake").display().to_string();
    let suggest = |filter| {
        let arguments = ["map", "suggest", "--lake", &lake, "--topic", filter];
        let suggested = tidemark().args(arguments).output().unwrap();
        (suggested.status.code(), text(&suggested))
    };
    let (code, shown) = suggest("#");
    assert_eq!(code, Some(0), "{shown}");
    for part in [
        "(flag `unmapped`)",
        "filter = \"home/+/temperature\"\ndecoder = \"values\"\nsite = \"home\"\ndevice = \"{1}\"",
        "filter = \"plant/press/state\"",
        "profile = \"zigbee2mqtt\"",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("dt/ward"), "that one has its rule: {shown}");
    assert_eq!(suggest("shop/#").0, Some(1), "nothing of such a topic is there");
}

#[test]
fn inv5_a_replay_that_is_killed_at_any_step_lands_each_message_once() {
    let site = Site::new("");
    let up = site.up();
    let letters: Vec<_> = (0..3)
        .map(|n| ("dt/ward/dev/readings", format!("{{\"temp\":{n}}}").into_bytes()))
        .collect();
    publish(&site, &letters);
    wait_for("all to land", || site.status()["landed"].as_u64() == Some(3));
    up.stop();
    let lake = site.folder.path().join("lake").display().to_string();
    let rules = site.folder.path().join("rules.toml");
    std::fs::write(
        &rules,
        "[[ingest.topics]]\nfilter = \"dt/ward/dev/readings\"\ndecoder = \"values\"\n",
    )
    .unwrap();
    let replay = |crash: Option<&str>| {
        let mut command = tidemark();
        command.args(["dead-letters", "replay", "--lake", &lake, "--config"]).arg(&rules);
        if let Some(point) = crash {
            command.env("TIDEMARK_CRASH_POINT", point);
        }
        command.output().unwrap()
    };
    for point in ["file-written", "plan-written", "landing-decided", "table-applied"] {
        let killed = replay(Some(point));
        // From the third on there is nothing left to land: the second was decided, and is finished by the next.
        if ["file-written", "plan-written", "landing-decided"].contains(&point) {
            assert!(!killed.status.success(), "{point}: {}", text(&killed));
        }
    }
    let done = replay(None);
    assert!(done.status.success(), "{}", text(&done));
    assert_eq!((site.rows("readings"), site.rows("replays"), site.rows("dead_letters")), (3, 3, 3));
    let suggested = tidemark().args(["map", "suggest", "--lake", &lake]).output().unwrap();
    let shown = text(&suggested);
    assert!(shown.contains("filter = \"dt/ward/dev/readings\""), "{shown}");
    assert!(shown.contains("settings.unit = { \"temp\" = \"Cel\" }"), "{shown}");
    let listed = tidemark().args(["dead-letters", "list", "--lake", &lake]).output().unwrap();
    let shown = text(&listed);
    assert!(shown.contains("metric_missing") && shown.contains("dt/ward/dev/readings"), "{shown}");
    let position = shown.split_whitespace().last().unwrap().to_owned();
    let one =
        tidemark().args(["dead-letters", "show", &position, "--lake", &lake]).output().unwrap();
    assert!(
        text(&one).contains("replayed   yes") && text(&one).contains("{\"temp\":"),
        "{}",
        text(&one)
    );
    let checked = tidemark().args(["check", "--lake", &lake]).output().unwrap();
    assert!(checked.status.success(), "{}", text(&checked));
}
