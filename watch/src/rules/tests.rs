//! Rules that are refused, with line, key and remedy; and that what is accepted can match.

use super::*;

fn errors(text: &str) -> Vec<String> {
    match Rules::parse(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ToString::to_string).collect(),
    }
}

/// The one error of a rule with these lines.
fn refused(lines: &str) -> String {
    let text = format!("# rules\n\n[[rule]]\nname = \"r\"\n{lines}\n");
    let found = errors(&text);
    assert_eq!(found.len(), 1, "{lines}: {found:?}");
    found[0].clone()
}

/// Lines of a rule, and why they are refused.
const REFUSED: [(&str, &str); 30] = [
    (
        "metric = \"heart_rate\"\nabove = 120\nclear = 125",
        "line 7: rule `r`: `clear` is beyond `above`: it must be at most 120",
    ),
    (
        "metric = \"heart_rate\"\nabove = 300",
        "line 6: rule `r`: `above` can't be exceeded: `heart_rate` is 10 to 300 /min",
    ),
    (
        "metric = \"heart_rate\"\nabove = 5",
        "line 6: rule `r`: `above` is exceeded by every value: `heart_rate` is 10 to 300 /min",
    ),
    (
        "metric = \"spo2\"\nbelow = 30",
        "line 6: rule `r`: `below` can't be undercut: `spo2` is 30 to 100 %",
    ),
    (
        "metric = \"spo2\"\nbelow = 90\nclear = 101",
        "line 7: rule `r`: `clear` is never reached: `spo2` is 30 to 100 %",
    ),
    (
        "metric = \"fridge_temp\"\noutside = [8, 2]",
        "line 6: rule `r`: `outside` must be [low, high] with low below high",
    ),
    (
        "metric = \"fridge_temp\"\noutside = [2, 8]\nmargin = 4",
        "line 7: rule `r`: `margin` leaves nothing of the band: it would never be cleared",
    ),
    (
        "metric = \"heartrate\"\nabove = 1",
        "line 5: rule `r`: `metric` is \"heartrate\", which the catalogue does not know (there is heart_rate, pulse_rate, resp_rate): say `uncatalogued = true` if devices send it",
    ),
    (
        "metric = \"door_open\"\nequals = \"ajar\"",
        "line 6: rule `r`: `equals` is \"ajar\", which `door_open` never is: there are open, closed, true, false, on, off",
    ),
    (
        "metric = \"tag_zone\"\nabove = 1",
        "line 5: rule `r`: `metric` is `tag_zone`, whose values are words: use `equals` or `when`",
    ),
    (
        "metric = \"spo2\"\nmean_kinetic_above = 50\nwithin = \"1d\"",
        "line 6: rule `r`: `mean_kinetic_above` is a temperature, and `spo2` is none (at 50)",
    ),
    (
        "metric = \"spo2\"\ndevice = \"\"\nbelow = 90",
        "line 6: rule `r`: `device` is empty and matches nothing: leave it out for all, or write a name with * in it",
    ),
    (
        "metric = \"spo2\"\nbelow = 90\nfor = \"soon\"",
        "line 7: rule `r`: `for` is \"soon\", which is no time: write 90s, 15m, 2h or 7d, up to 366d",
    ),
    (
        "metric = \"spo2\"\nbelow = 90\nabove = 95",
        "line 6: rule `r`: `below` is a second condition beside `above`: write a rule for each",
    ),
    (
        "metric = \"spo2\"\nfall = 4",
        "line 3: rule `r`: `within` is missing: say the time that is looked at, such as \"10m\"",
    ),
    (
        "metric = \"spo2\"\nbelow = 90\nwithin = \"1m\"",
        "line 7: rule `r`: `within` does nothing here: it goes with rise, fall, count, good_share_below or mean_kinetic_above",
    ),
    (
        "below = 90",
        "line 3: rule `r`: `metric` is missing: say which one, such as \"heart_rate\", or \"*\"",
    ),
    (
        "metric = \"spo2\"",
        "line 4: rule `r`: `name` asks for nothing: say one of above, below, outside, equals, rise, fall, stuck_for, count, good_share_below, mean_kinetic_above, silent_for, news2 or when",
    ),
    (
        "metric = \"spo2\"\nbelow = 90\nquality = [\"fine\"]",
        "line 7: rule `r`: `quality` has `fine`: there are good, unchecked, suspect, bad",
    ),
    (
        "silent_for = \"5m\"\nper = \"source\"\ndevice = \"x\"",
        "line 6: rule `r`: `per` is \"source\", which has no site, device or metric: filter by `source`",
    ),
    (
        "silent_for = \"5m\"\nwhen = \"value > 1.0\"",
        "line 6: rule `r`: `when` looks at rows, and silence has none: leave it out",
    ),
    (
        "[rule.news2]\nat_least = 21",
        "line 6: rule `r`: `news2.at_least` must be 1 to 20: a score is nothing else",
    ),
    (
        "[rule.news2]\nscale = 1",
        "line 5: rule `r`: `news2` must say one of at_least = 5, single_red = true, rise = 2",
    ),
    (
        "silent_for = \"5m\"\nflapping = { times = 3, within = \"1h\" }",
        "line 6: rule `r`: `flapping` does nothing here: it goes with conditions on values",
    ),
    (
        "metric = \"spo2\"\nbelow = 90\ngap = \"1h\"",
        "line 7: rule `r`: `gap` does nothing here: it goes with for",
    ),
    (
        "news2 = { at_least = 5 }\nuncatalogued = true",
        "line 6: rule `r`: `uncatalogued` does nothing here: it goes with metric",
    ),
    ("news2 = { at_least = 5, scale = 3 }", "line 5: rule `r`: `news2.scale` must be 1 or 2"),
    (
        "news2 = { at_least = 5, clear = 5 }",
        "line 5: rule `r`: `news2.clear` is beyond `at_least`: it must be below 5",
    ),
    (
        "metric = \"spo2\"\nbelow = 90\nrepeat = \"1s\"",
        "line 7: rule `r`: `repeat` is shorter than 1m",
    ),
    (
        "metric = \"spo2\"\nbelow = 90\nflapping = { times = 1, within = \"1h\" }",
        "line 7: rule `r`: `flapping` has `times`, which must be 2 to 16",
    ),
];

#[test]
fn a_rule_is_refused_with_its_line_its_key_and_what_would_be_right() {
    for (lines, right) in REFUSED {
        assert_eq!(refused(lines), right);
    }
}

#[test]
fn an_expression_that_can_say_nothing_is_refused() {
    let cases = [
        ("when = \"1 == 1\"", "names no column: it is the same for every row"),
        ("when = \"pulse > 3.0\"", "names `pulse`, which is no column"),
        ("when = \"value >\"", "is no CEL expression"),
        ("when = \"value + 1.0\"", "is true or false of no row"),
        ("when = \"[1.0, 2.0].exists(x, x == value)\"", "has a loop"),
        ("when = \"text.matches(text)\"", "calls `matches`"),
        ("when = \"duration(text) == duration('1s')\"", "calls `duration`"),
    ];
    for (lines, right) in cases {
        let found = refused(lines);
        assert!(found.starts_with("line 5: rule `r`: `when` ") && found.contains(right), "{found}");
    }
}

#[test]
fn what_is_no_toml_or_no_key_of_ours_has_its_line_too() {
    let found = errors(
        "[[rule]]\nname = \"a\"\nmetric = \"spo2\"\nbelow = 90\n\n[[rule]]\nname = \"b\"\nabov = 5\n",
    );
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("line 8: rule `b`: unknown field `abov`"), "{found:?}");
    let found = errors("[[rule]]\nname = \"a\nmetric = 1\n");
    assert!(found[0].starts_with("line 2: "), "{found:?}");
    let found = errors("[[rule]]\nname = \"a\"\nmetric = \"spo2\"\nbelow = \"90\"\n");
    assert!(found[0].starts_with("line 4: rule `a`: invalid type"), "{found:?}");
}

#[test]
fn a_file_without_rules_and_two_rules_of_one_name_are_refused() {
    assert_eq!(errors(""), ["line 1: the file has no [[rule]]: nothing would ever be told"]);
    let one = "[[rule]]\nname = \"a\"\nmetric = \"spo2\"\nbelow = 90\n";
    assert_eq!(
        errors(&format!("{one}{one}")),
        ["line 6: rule `a`: `name` is that of an earlier rule: alerts could not be told apart"]
    );
    let bad = one.replace("\"a\"", "\"A b\"");
    assert!(errors(&bad)[0].contains("`name` must be 1 to 64 of a–z"));
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let text = "[[rule]]\nname = \"a\"\nmetric = \"spo2\"\nbelow = 10\n[[rule]]\nname = \"b\"\n[[maintenance]]\nfrom = 2026-01-02T00:00:00Z\nuntil = 2026-01-01T00:00:00Z\n";
    let found = errors(text);
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[2].starts_with("line 9: `until` is not after `from`"), "{found:?}");
}

#[test]
fn a_version_is_what_a_rule_says() {
    let version = |text: &str| Rules::parse(text).unwrap().rules[0].version.to_string();
    let one = version("[[rule]]\nname = \"a\"\nmetric = \"spo2\"\nbelow = 90\nfor = \"15s\"\n");
    assert_eq!(
        one,
        version("# Said otherwise.\n[[rule]]\nfor=\"15s\"\nbelow=90.0\nmetric='spo2'\nname='a'\n")
    );
    assert_ne!(
        one,
        version("[[rule]]\nname = \"a\"\nmetric = \"spo2\"\nbelow = 91\nfor = \"15s\"\n")
    );
}

#[test]
fn a_metric_that_is_not_in_the_catalogue_must_be_said_to_be_so() {
    let text = "[[rule]]\nname = \"a\"\nmetric = \"pm2_5\"\nuncatalogued = true\nabove = 50\n";
    assert!(Rules::parse(text).is_ok());
    assert!(
        refused("metric = \"spo2\"\nuncatalogued = true\nbelow = 90")
            .contains("`uncatalogued` is said of `spo2`")
    );
}

proptest::proptest! {
    /// Whatever is written: it is refused or taken, and an expression that is taken has an answer or none.
    #[test]
    fn no_file_makes_it_panic(
        text in "[\\[\\]a-z=\" .\n0-9{}#_-]{0,200}",
        at in 0..200_usize,
        expression in "[a-z0-9 ()<>=!&|?:.,'+*/%\\[\\]-]{0,60}",
    ) {
        drop(Rules::parse(&text));
        let rule = "[[rule]]\nname = \"r\"\nmetric = \"spo2\"\nbelow = 90\nclear = 95\nfor = \"10s\"\n[rule.news2]\nat_least = 5\n";
        let (head, tail) = rule.split_at(at.min(rule.len()));
        drop(Rules::parse(&format!("{head}{text}{tail}")));
        if let Ok(rules) = Rules::parse(&format!("[[rule]]\nname = \"r\"\nwhen = \"{expression}\"\n")) {
            let Some(when) = &rules.rules[0].when else { return Ok(()) };
            let row = Columns {
                value: Some(f64::NAN), text: Some(""), unit: "", quality: "", site: "", device: "", metric: "",
                event_us: i64::MIN, received_us: i64::MAX,
            };
            when.holds(&row);
        }
    }
}
