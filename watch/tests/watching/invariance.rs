//! INV-14: alerts are a function of the rows. However they are cut, and however often the state was saved and loaded in between,
//! the transitions are the same to the byte, and so is the state.

use std::collections::{BTreeSet, HashMap};

use proptest::prelude::*;
use watch::{Action, Limits, Numbers, Quality, Reading, Rows, SourceState, Transition, Watch};

use crate::harness::{HOUR, MINUTE, Row, SECOND, START, rules};

/// Rows with the numbers of their names.
struct Numbered<'a>(Vec<(Numbers, Reading<'a>)>);

impl Rows for Numbered<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn numbers(&self, row: usize) -> Numbers {
        self.0[row].0
    }

    fn received_us(&self, row: usize) -> i64 {
        self.0[row].1.received_us
    }

    fn reading(&self, row: usize) -> Reading<'_> {
        self.0[row].1
    }
}

/// A rule of each kind.
const ALL: &str = r#"
[[rule]]
name = "above"
metric = "heart_rate"
above = 120
clear = 110
for = "20s"
clear_for = "10s"
repeat = "2m"
flapping = { times = 2, within = "10m" }

[[rule]]
name = "band"
metric = "spo2"
outside = [90, 99]
margin = 1

[[rule]]
name = "rise"
metric = "heart_rate"
rise = 30
within = "5m"

[[rule]]
name = "stuck"
metric = "*"
stuck_for = "2m"
min_rows = 3

[[rule]]
name = "count"
metric = "spo2"
when = "value < 92.0"
count = 3
within = "3m"

[[rule]]
name = "share"
metric = "spo2"
good_share_below = 0.7
within = "4m"
min_rows = 4

[[rule]]
name = "kinetic"
metric = "temp_body"
mean_kinetic_above = 38
within = "10m"

[[rule]]
name = "score"
news2 = { rise = 2, within = "10m" }

[[rule]]
name = "five"
news2 = { at_least = 5, assume_oxygen = "air" }

[[rule]]
name = "when"
when = "metric == 'resp_rate' && value > 22.0"

[[rule]]
name = "silence"
silent_for = "90s"
repeat = "3m"

[[rule]]
name = "silent-metric"
metric = "spo2"
silent_for = "1m"

[[rule]]
name = "silent-source"
silent_for = "4m"
per = "source"
"#;

/// What goes into a watch.
#[derive(Debug, Clone)]
enum Input {
    Row(Row),
    Tick(String, i64),
    Source(String, SourceState),
    Maintain(i64),
    /// Acknowledges or silences what was told last.
    Last(bool, i64),
}

const METRICS: [(&str, f64, f64); 4] = [
    ("heart_rate", 60.0, 90.0),
    ("spo2", 86.0, 14.0),
    ("temp_body", 36.0, 4.0),
    ("resp_rate", 10.0, 20.0),
];

fn step() -> impl Strategy<Value = (u8, u8, u8, u8, i64, i64)> {
    (0..100_u8, 0..4_u8, 0..4_u8, 0..8_u8, 0..60_i64, -400..40_i64)
}

/// Makes inputs of steps: time goes on, now and then by much; some rows are late.
fn inputs(steps: &[(u8, u8, u8, u8, i64, i64)]) -> Vec<Input> {
    inputs_of(steps, 2, SECOND / 4)
}

fn inputs_of(steps: &[(u8, u8, u8, u8, i64, i64)], sources: u8, pace: i64) -> Vec<Input> {
    let mut now = 0;
    let mut made = Vec::new();
    for (nth, (what, device, metric, value, on, late)) in (0..).zip(steps) {
        now += on * pace;
        let source = format!("src-{}", device % sources);
        let input = match what {
            0..=2 => Input::Tick(source, START + now),
            3 => Input::Source(source, SourceState::Away { since_us: START + now }),
            4 => Input::Source(source, SourceState::Behind { heard_us: START + now }),
            5..=7 => Input::Source(source, SourceState::Here { heard_us: START + now }),
            8 => {
                now += 10 * MINUTE;
                Input::Tick(source, START + now)
            }
            // Clocks of sources are set back, too.
            12 => {
                now -= 30 * MINUTE;
                Input::Tick(source, START + now)
            }
            9 => Input::Maintain(START + now),
            10 => Input::Last(true, START + now),
            11 => Input::Last(false, START + now),
            _ => {
                let (name, low, wide) = METRICS[usize::from(*metric)];
                let late = if *late < -350 { *late * SECOND } else { 0 };
                let mut row = Row::new(
                    &format!("d-{device}"),
                    name,
                    now + late,
                    low + wide * f64::from(*value) / 8.0,
                );
                row.source = source;
                row.received_us = START + now;
                row.offset = nth;
                row.quality = Quality::ALL[usize::from(what % 16 == 0) * usize::from(metric % 4)];
                Input::Row(row)
            }
        };
        made.push(input);
    }
    made
}

fn feed(watch: &mut Watch, input: &Input, out: &mut Vec<Transition>) {
    match input {
        Input::Row(row) => watch.reading(&row.reading(), out),
        Input::Tick(source, at_us) => watch.tick(source, *at_us, out),
        Input::Source(source, state) => watch.source(source, *state, out),
        Input::Maintain(now_us) => {
            let action = Action::Maintain {
                site: "*".into(),
                device: "d-1".into(),
                from_us: *now_us,
                until_us: now_us + 2 * MINUTE,
                by: "x".into(),
            };
            watch.act(&action, *now_us, out).unwrap();
        }
        Input::Last(acknowledge, now_us) => {
            let Some(last) = out.last().map(|told| told.alert) else { return };
            let by = "x".into();
            let action = match acknowledge {
                true => Action::Acknowledge { alert: last, by },
                false => Action::Silence { alert: last, until_us: now_us + MINUTE, by },
            };
            // It may be resolved by now.
            watch.act(&action, *now_us, out).unwrap_or_default();
        }
    }
}

fn new() -> Watch {
    Watch::new(rules(ALL), Limits { devices: 4, ..Limits::default() })
}

fn reloaded(watch: &Watch) -> Watch {
    let mut ended = Vec::new();
    let limits = Limits { devices: 4, ..Limits::default() };
    let watch = Watch::load(&watch.save(), rules(ALL), limits, &mut ended).unwrap();
    assert!(ended.is_empty());
    watch
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn inv14_alerts_are_a_function_of_the_rows(
        steps in prop::collection::vec(step(), 1..300),
        saves in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let inputs = inputs(&steps);
        let (mut whole, mut told) = (new(), Vec::new());
        for input in &inputs {
            feed(&mut whole, input, &mut told);
        }
        let saves: Vec<usize> = saves.iter().map(|at| at.index(inputs.len())).collect();
        let (mut cut, mut again) = (new(), Vec::new());
        for (at, input) in inputs.iter().enumerate() {
            if saves.contains(&at) {
                cut = reloaded(&cut);
            }
            feed(&mut cut, input, &mut again);
        }
        prop_assert_eq!(&told, &again);
        prop_assert_eq!(whole.save(), cut.save());
    }

    /// Rows that are taken many at once are taken as one after the other, also when devices are forgotten in between.
    #[test]
    fn inv14_rows_at_once_are_rows_one_by_one(
        steps in prop::collection::vec(step(), 1..300),
        devices in 1..5_usize,
        // Numberings that are far too large, too.
        far in prop_oneof![Just(0), Just(u32::MAX - 1_000)],
        each in 1..40_usize,
        sources in 1..3_u8,
        pace in prop_oneof![Just(SECOND / 4), Just(SECOND / 100)],
    ) {
        let new = || Watch::new(rules(ALL), Limits { devices, ..Limits::default() });
        let inputs = inputs_of(&steps, sources, pace);
        let (mut single, mut told) = (new(), Vec::new());
        for input in &inputs {
            feed(&mut single, input, &mut told);
        }
        let (mut many, mut again) = (new(), Vec::new());
        let mut numbers = HashMap::<(&str, String), u32>::new();
        let (mut numbering, mut rows_of_it) = (0, 0);
        for some in inputs.chunk_by(|one, next| matches!((one, next), (Input::Row(_), Input::Row(_)))) {
            let rows = some.iter().filter_map(|input| match input {
                Input::Row(row) => Some(row.reading()),
                _ => None,
            });
            let rows: Vec<Reading<'_>> = rows.collect();
            if rows.is_empty() {
                feed(&mut many, &some[0], &mut again);
            }
            for rows in rows.chunks(each) {
                rows_of_it += rows.len();
                if rows_of_it > each {
                    (numbering, rows_of_it) = (numbering + 1, rows.len());
                    numbers.clear();
                }
                let mut number = |kind: &'static str, name: String| {
                    let next = u32::try_from(numbers.len()).unwrap() + far;
                    *numbers.entry((kind, name)).or_insert(next)
                };
                let numbered = rows.iter().map(|row| {
                    let numbers = Numbers {
                        source: number("source", row.id.source_id.to_owned()),
                        device: number("device", format!("{}/{}", row.site, row.device)),
                        metric: number("metric", row.metric.to_owned()),
                        unit: (!row.unit.is_empty()).then(|| number("unit", row.unit.to_owned())),
                    };
                    (numbers, *row)
                });
                many.rows(numbering, &Numbered(numbered.collect()), &mut again);
            }
        }
        prop_assert_eq!(told, again);
        prop_assert_eq!(single.save(), many.save());
    }

    /// Time comes with the rows: being told of it once more, or less often, changes nothing of what was heard.
    #[test]
    fn inv14_a_time_that_has_come_already_changes_nothing(steps in prop::collection::vec(step(), 1..200)) {
        let inputs = inputs(&steps);
        let (mut plain, mut told) = (new(), Vec::new());
        let (mut ticked, mut again) = (new(), Vec::new());
        for input in &inputs {
            feed(&mut plain, input, &mut told);
            feed(&mut ticked, input, &mut again);
            if let Input::Row(row) = input {
                ticked.tick(&row.source, row.received_us, &mut again);
            }
        }
        prop_assert_eq!(told, again);
        prop_assert_eq!(plain.save(), ticked.save());
    }

    /// Every alert's steps are a chain from resolved to resolved, with one id; and no two are alive of one rule and series.
    #[test]
    fn an_alert_s_steps_follow_each_other(steps in prop::collection::vec(step(), 1..300)) {
        let (mut watch, mut told) = (new(), Vec::new());
        for input in &inputs(&steps) {
            feed(&mut watch, input, &mut told);
        }
        let mut alive = std::collections::BTreeMap::new();
        for step in &told {
            let subject = (step.rule.clone(), step.group.clone(), step.device.clone(), step.metric.clone());
            let subject = if step.device.is_empty() { subject } else { (subject.0, "".into(), subject.2, subject.3) };
            let (state, id) = alive.get(&subject).copied().unwrap_or((watch::State::Resolved, step.alert));
            prop_assert_eq!(state, step.from);
            if state != watch::State::Resolved {
                prop_assert_eq!(id, step.alert);
            }
            alive.insert(subject, (step.to, step.alert));
        }
    }
}

/// A silent device is found at the same time whether time came in one stride or in many.
#[test]
fn inv14_strides_of_time_do_not_matter() {
    let run = |stride: i64| {
        let (mut watch, mut told) = (new(), Vec::new());
        for n in 0..4 {
            watch.reading(
                &Row::new(&format!("d-{n}"), "spo2", n * 20 * SECOND, 80.0).reading(),
                &mut told,
            );
        }
        let mut at = 0;
        while at < HOUR {
            at += stride;
            watch.tick("gw", START + at.min(HOUR), &mut told);
        }
        (told, watch.save())
    };
    let once = run(HOUR);
    assert!(once.0.len() > 10);
    for stride in [SECOND, 7 * SECOND, MINUTE, 11 * MINUTE] {
        assert_eq!(run(stride), once);
    }
}

/// What the properties are about happens in them: every rule speaks, and every state and reason is come to.
#[test]
fn inv12_the_inputs_of_the_properties_move_every_rule() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let steps = prop::collection::vec(step(), 300..301);
    let (mut spoke, mut states, mut reasons) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for _ in 0..60 {
        let steps = steps.new_tree(&mut runner).unwrap().current();
        let (mut watch, mut told) = (new(), Vec::new());
        for input in &inputs(&steps) {
            feed(&mut watch, input, &mut told);
        }
        for step in told {
            spoke.insert(step.rule.to_string());
            states.insert(step.to);
            reasons.insert(step.reason);
        }
    }
    let rules = ALL.lines().filter_map(|line| line.strip_prefix("name = \""));
    let silent: Vec<&str> = rules
        .map(|name| name.trim_end_matches('"'))
        .filter(|name| !spoke.contains(*name))
        .collect();
    assert_eq!(silent, [] as [&str; 0]);
    // A rule that changed has tests of its own.
    assert_eq!((states.len(), reasons.len()), (5, 4), "{states:?} {reasons:?}");
}
