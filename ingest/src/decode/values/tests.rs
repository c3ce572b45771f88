//! Tests of values.

use proptest::prelude::*;

use super::*;
use crate::mistake::Mistake;

const TOPIC: &str = "home/kitchen/sensor";

fn values(settings: &str) -> Values {
    Values::new(&toml::from_str(settings).unwrap()).unwrap()
}

fn mistake(settings: &str) -> Mistake {
    Values::new(&toml::from_str(settings).unwrap()).unwrap_err()
}

/// A group in one line: time, readings, report, extra, first.
fn shown(group: &Group<'_>) -> String {
    let mut parts = Vec::new();
    match group.time {
        Told::Nothing => {}
        Told::At { us, flags, .. } => {
            let local = flags.has(Flags::LOCAL_TIME);
            parts.push(format!("@{us}{}", if local { "?" } else { "" }));
        }
        Told::Unreadable(text) => parts.push(format!("@!{text}")),
    }
    for leaf in &group.readings {
        let value = match &leaf.value {
            Said::Number(number) => format!("{number}"),
            Said::Word { number, text } => format!("{number}:{text}"),
            Said::Bound { number, text, .. } => format!("{number}:{text}"),
            Said::Text(text) | Said::Nothing(text) => format!("{text:?}"),
            Said::Bool(truth) => format!("{truth}"),
            Said::Null => "null".to_owned(),
            Said::Nested => leaf.raw.to_owned(),
        };
        let unit = leaf.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
        parts.push(format!("{}={value}{unit}", leaf.metric));
    }
    parts.extend(group.report.iter().map(|report| format!("is {}", report.status)));
    parts.extend(group.member.iter().map(|member| format!("of {member}")));
    for (name, extra) in [("extra", &group.extra), ("first", &group.first)] {
        let text = extra.text("t", None).unwrap();
        parts.extend(text.map(|text| format!("{name}{text}")));
    }
    parts.join(" | ")
}

fn read(settings: &str, payload: &str) -> Vec<String> {
    values(settings).read(TOPIC, payload).unwrap().iter().map(shown).collect()
}

fn one(settings: &str, payload: &str) -> String {
    let mut groups = read(settings, payload);
    assert_eq!(groups.len(), 1, "{groups:?}");
    groups.remove(0)
}

fn code(settings: &str, payload: &str) -> Code {
    values(settings).read(TOPIC, payload).unwrap_err().code
}

#[test]
fn each_scalar_is_a_reading_and_its_path_the_metric() {
    for (payload, expected) in [
        (r#"{"battery":97,"humidity":51.2}"#, "battery=97 | humidity=51.2"),
        (
            r#"{"AM2301":{"Temperature":18.8,"Humidity":null}}"#,
            "AM2301.Temperature=18.8 | AM2301.Humidity=null",
        ),
        (
            r#"{"values":[1,[true,"x"]],"none":{}, "no":[] }"#,
            r#"values.0=1 | values.1.0=true | values.1.1="x" | first{"none":{},"no":[]}"#,
        ),
        ("21.5", "sensor=21.5"),
        (" ON\n", "sensor=1:ON"),
        ("\u{feff}{\"a\":1}\r\n", "a=1"),
        ("21.5 °C", "sensor=21.5 °C"),
        ("[21.5, 22]", "sensor.0=21.5 | sensor.1=22"),
        (
            r#"{"n":9007199254740993,"d":1e999,"t":"12"}"#,
            "n=9007199254740992:9007199254740993 | d=1e999 | t=12:12",
        ),
        (r#"{"a":1,"b":2,"a":3}"#, r#"b=2 | a=3 | first{"a":1}"#),
        (r#"{"\u00e9":{"x.y":1}}"#, "é.x.y=1"),
    ] {
        assert_eq!(one("", payload), expected, "{payload}");
    }
}

#[test]
fn an_array_of_objects_is_a_group_each_and_nothing_beside_them_is_lost() {
    let groups = read("", r#"[{"t":1,"ts":1795633285},{},{"t":2},7,{"e":{}}]"#);
    assert_eq!(groups, ["@1795633285000000 | t=1", r#"t=2 | first{"e":{},"1":{},"3":7}"#]);
    for nothing in ["{}", "[]", "[{}]", r#"{"a":{"b":[]}}"#] {
        assert_eq!(code("", nothing), Code::ValueMissing, "{nothing}");
    }
    for (payload, expected) in [
        ("", Code::EmptyPayload),
        ("  ", Code::EmptyPayload),
        ("{\"a\":", Code::JsonTruncated),
        ("{\"a\":NaN}", Code::NotFinite),
        ("\"x", Code::JsonTruncated),
        ("a\u{1}b", Code::JsonSyntax),
        (&"x".repeat(257), Code::JsonSyntax),
    ] {
        assert_eq!(code("", payload), expected, "{payload}");
    }
}

#[test]
fn inv10_an_element_without_a_value_of_its_own_is_kept_although_the_next_says_the_same() {
    let values = values("per_row = [\"/a\"]");
    let groups = values.read(TOPIC, r#"[{"a":7e0},{"b":7e0,"a":7e0}]"#).unwrap();
    assert_eq!(scalars(&groups), 3, "{groups:?}");
}

#[test]
fn a_rule_names_selects_and_scales() {
    let settings = r#"
        ignore = ["update", "*.Id"]
        words = { ON = 1, OFF = 0, contact = { open = 1, closed = 0 } }
        [rename]
        "*.Temperature" = "temperature"
        "ENERGY.*" = "energy_*"
        [unit]
        temperature = "/TempUnit"
        "energy_Power" = "W"
        battery = "%"
        [scale]
        "ENERGY.Power" = 0.01
        volt = { factor = 2, offset = -1 }
    "#;
    let payload = r#"{"AM2301":{"Temperature":18.8,"Id":"a"},"TempUnit":"C","ENERGY":{"Power":2137},"volt":3,"battery":97,
        "state":"ON","contact":"open","lock":"open","update":{"state":"idle"}}"#;
    let expected = r#"temperature=18.8 C | energy_Power=21.37 W | volt=5 | battery=97 % | state=1:ON | contact=1:open | lock="open" | first{"TempUnit":"C","AM2301.Id":"a","update":{"state":"idle"}}"#;
    assert_eq!(one(settings, payload), expected);
    let two = r#"{"AM2301":{"Temperature":1},"BMP280":{"Temperature":2}}"#;
    assert_eq!(one(settings, two), "AM2301.Temperature=1 | BMP280.Temperature=2");
    let beside = r#"{"temperature":1,"BMP280":{"Temperature":2}}"#;
    assert_eq!(one(settings, beside), "temperature=1 | BMP280.Temperature=2");
    let only = r#"only = ["a.*", "c"]"#;
    let payload = r#"{"a":{"x":{"y":1}},"b":2,"c":{"z":[3]}}"#;
    assert_eq!(one(only, payload), r#"a.x.y=1 | c.z.0=3 | first{"b":2}"#);
    assert_eq!(code(only, r#"{"b":2}"#), Code::ValueMissing);
    assert_eq!(one("decimal_comma = true", r#"{"t":"1,234"}"#), "t=1.234:1,234");
    assert_eq!(one("", r#"{"t":"1,2"}"#), r#"t="1,2""#);
    assert_eq!(one("metric = \"{1}\"\nrename = { kitchen = \"room\" }", "7"), "room=7");
    assert_eq!(one("metric = \"{1}.{2}\"", r#"{"a":7}"#), "kitchen.sensor.a=7");
}

#[test]
fn readings_begin_at_the_root_and_what_is_around_it_is_kept() {
    let settings = r#"
        root = ["/up/decoded", "/up/again"]
        per_row = ["/up/port", "/up/rx/0/rssi"]
        time = "/received_at"
    "#;
    let payload = r#"{"ids":{"a":1},"received_at":"2026-11-25T19:01:25Z","up":{"port":2,"decoded":{"t":1},"rx":[{"rssi":-7}]}}"#;
    let expected = r#"@1795633285000000 | t=1 | extra{"port":2,"rssi":-7} | first{"ids":{"a":1},"up.rx":[{"rssi":-7}]}"#;
    assert_eq!(one(settings, payload), expected);
    assert_eq!(one(settings, r#"{"up":{"again":5}}"#), "again=5");
    assert_eq!(code(settings, r#"{"up":{"x":5}}"#), Code::ValueMissing);
    let list = read(settings, r#"{"g":7,"up":{"port":1,"decoded":[{"t":1},{"t":2}]}}"#);
    assert_eq!(list, [r#"t=1 | extra{"port":1} | first{"g":7}"#, r#"t=2 | extra{"port":1}"#]);
    let one_lacks_it = read(settings, r#"[{"up":{"decoded":{"t":1}}},{"x":5}]"#);
    assert_eq!(one_lacks_it, [r#"t=1 | first{"x":5}"#]);
}

#[test]
fn each_member_may_be_a_device() {
    let settings = "each_member = true\nroot = \"\"";
    let payload = r#"{"A":[{"ts":1795633285000,"t":42},{"t":43}],"B":{"x":1},"c":5}"#;
    let groups = read(settings, payload);
    assert_eq!(
        groups,
        ["@1795633285000000 | t=42 | of A", "t=43 | of A", r#"x=1 | of B | first{"c":5}"#]
    );
}

#[test]
fn elements_have_the_names_that_a_member_gives_them() {
    let settings = r#"arrays = [{ path = "values", key = "id", value = "v", unit = "u", time = "t" }, { path = "raw", whole = true }]"#;
    let payload = r#"{"ts":1795633285,"values":[{"id":"temp","v":21,"u":"C","q":1},{"v":3},{"id":7,"v":2,"t":1795633286}],"raw":[1, 2]}"#;
    let groups = read(settings, payload);
    let first =
        "@1795633285000000 | values.temp=21 C | values.temp.q=1 | values.1.v=3 | raw=[1, 2]";
    assert_eq!(groups, [first, "@1795633286000000 | values.7=2"]);
    let root = r#"arrays = [{ key = "n", value = "v", time = "t" }]"#;
    let groups = read(root, r#"[{"n":"a","v":1,"t":1795633285},{"n":"b","v":2}]"#);
    assert_eq!(groups, ["b=2", "@1795633285000000 | a=1"]);
    // The message's own time stays when each element has another.
    let groups = read(settings, r#"{"ts":1795633285,"values":[{"id":"a","v":1,"t":1795633286}]}"#);
    assert_eq!(groups, [r#"@1795633286000000 | values.a=1 | first{"ts":1795633285}"#]);
    assert_eq!(
        one(r#"arrays = [{ path = "s", key = "id" }]"#, r#"{"s":[{"id":"a","x":1,"y":{"z":2}}]}"#),
        "s.a.x=1 | s.a.y.z=2"
    );
}

#[test]
fn the_time_is_where_the_rule_says_or_where_it_usually_is() {
    for (settings, payload, expected) in [
        ("", r#"{"time":"2026-11-25T19:01:25","t":1}"#, "@1795633285000000? | t=1"),
        ("", r#"{"Time":"soon","t":1}"#, r#"@!"soon" | t=1"#),
        ("", r#"{"time":12,"t":1}"#, "time=12 | t=1"),
        (
            "",
            r#"{"created_at":"2026-11-25T19:01:26Z","ts":1795633285,"t":1}"#,
            r#"@1795633285000000 | t=1 | first{"created_at":"2026-11-25T19:01:26Z"}"#,
        ),
        ("", r#"{"ts":null,"at":1795633285,"t":1}"#, "@1795633285000000 | ts=null | t=1"),
        ("time = false", r#"{"ts":1795633285,"t":1}"#, "ts=1795633285 | t=1"),
        (
            "time = \"/a/b\"",
            r#"{"a":{"b":1795633285},"ts":3,"t":1}"#,
            "@1795633285000000 | ts=3 | t=1",
        ),
        (
            "time = [\"/x\", \"/y\"]",
            r#"{"x":"no","y":1795633285,"t":1}"#,
            r#"@!"no" | y=1795633285 | t=1"#,
        ),
        (
            "time = { member = \"/x\", zone = \"+01:00\" }",
            r#"{"x":"2026-11-25 20:01:25","t":1}"#,
            "@1795633285000000 | t=1",
        ),
        ("root = \"/v\"", r#"{"ts":1795633285,"v":{"t":1}}"#, "@1795633285000000 | t=1"),
    ] {
        assert_eq!(one(settings, payload), expected, "{settings} {payload}");
    }
    let values = values("");
    let groups = values.read(TOPIC, r#"{"time":"2026-11-25","t":1}"#).unwrap();
    let Told::At { flags, .. } = groups[0].time else { panic!("{groups:?}") };
    assert_eq!(flags, Flags::LOCAL_TIME | Flags::DATE_ONLY);
}

#[test]
fn births_and_wills_are_reports() {
    assert_eq!(shown(&values("").read("a/LWT", "Online").unwrap()[0]), "is online");
    assert_eq!(one("", r#"{"state":"offline"}"#), "is offline");
    assert_eq!(one("status = false", r#"{"state":"offline"}"#), r#"state="offline""#);
    let told = r#"status = { member = "/connected", words = { true = "online" } }"#;
    assert_eq!(one(told, r#"{"connected":true,"rssi":-3}"#), "rssi=-3 | is online");
    assert_eq!(one(told, r#"{"connected":false,"rssi":-3}"#), "connected=false | rssi=-3");
}

#[test]
fn inv8_names_and_numbers_of_readings_have_limits() {
    let many = |count: usize| format!("[{}]", vec!["1"; count].join(","));
    assert_eq!(values("").read(TOPIC, &many(100_000)).unwrap()[0].readings.len(), 100_000);
    assert_eq!(code("", &many(100_001)), Code::TooManyValues);
    let long = format!(r#"{{"{}":{},"a":1}}"#, "x".repeat(900), many(20_000));
    assert_eq!(code("", &long), Code::TooManyValues, "18 MB of names");
    let longer = format!(r#"{{"{}":{},"a":1}}"#, "x".repeat(1100), many(20_000));
    let values = values("");
    let groups = values.read(TOPIC, &longer).unwrap();
    assert_eq!(groups[0].readings.len(), 1);
    assert!(groups[0].first.text("t", None).is_ok_and(|text| text.unwrap().len() > 40_000));
}

#[test]
fn a_mistake_names_its_key() {
    for (settings, key) in [
        ("root = \"a\"", "root"),
        ("per_row = [\"a\"]", "per_row"),
        ("unit = { t = \"/a~3\" }", "unit"),
        ("rename = { \"a.*\" = \"*.*\" }", "rename.\"a.*\""),
        ("ignore = [\"a**\"]", "ignore.\"a**\""),
        ("scale = { t = 0 }", "scale.\"t\""),
        ("arrays = [{ path = \"a\" }]", "arrays.\"a\""),
        ("arrays = [{ path = \"a\", key = \"k\", whole = true }]", "arrays.\"a\""),
        ("metric = \"/a\"", "metric"),
        ("metric = \"{rest}\"", "metric"),
        ("time = { zone = \"Mars\" }", "time.zone"),
    ] {
        assert_eq!(mistake(settings).key, key, "{settings}");
    }
    assert!(toml::from_str::<Settings>("roots = \"/a\"").is_err());
    assert!(toml::from_str::<Settings>("time = { member = \"/a\", zones = \"UTC\" }").is_err());
}

/// Scalars in what a message became.
fn scalars(groups: &[Group<'_>]) -> usize {
    let kept = |extra: &Extra<'_>| {
        extra.text("t", None).unwrap().map_or(0, |text| text.matches("7e0").count())
    };
    groups.iter().map(|group| group.readings.len() + kept(&group.first) + kept(&group.extra)).sum()
}

proptest! {
    #[test]
    fn inv10_no_value_is_lost(text in json(), settings in prop::sample::select(vec![
        "", "root = \"/a\"", "root = [\"/a/b\", \"\"]", "ignore = [\"a\", \"*.b\"]", "only = [\"b\"]", "each_member = true",
        "per_row = [\"/a\"]", "time = \"/b\"", "arrays = [{ path = \"a\", key = \"b\", value = \"c\" }]", "metric = \"{0}\"",
    ])) {
        let values = values(settings);
        let count = text.matches("7e0").count();
        match values.read(TOPIC, &text) {
            // Times and keys are said in another way.
            Ok(groups) if settings.starts_with("time") || settings.starts_with("arrays") => prop_assert!(scalars(&groups) <= count),
            Ok(groups) => prop_assert_eq!(scalars(&groups), count, "{:?}", groups),
            Err(reject) => prop_assert_eq!(reject.code, Code::ValueMissing),
        }
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,60}", broken in r#"[\[\]{}:,"a1 .]{0,30}"#) {
        let values = values("root = [\"/a\", \"\"]\nper_row = [\"/1\"]");
        let _any = (values.read("t", &text), values.read("t", &broken));
    }
}

/// Objects whose scalars are all `7e0`.
fn json() -> impl Strategy<Value = String> {
    let leaf = Just("7e0".to_owned());
    let nested = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!("[{}]", all.join(","))),
            prop::collection::vec(("[abc]", inner), 0..4).prop_map(|all| {
                let members: Vec<String> =
                    all.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    nested.prop_filter("no bare number", |text| text.starts_with(['{', '[']))
}
