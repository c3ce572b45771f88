//! Each view as text, on two screens, with nothing in it, and with the service gone; and what keys do. The texts are in `golden/`:
//! a test that fails writes what it saw beside the system's temporary files, and says where.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::answers::Answer;
use super::ask::{Act, Ask, Problem};
use super::draw::draw;
use super::once;
use super::state::{Action, Event, Key, Mode, State, View};

/// 2026-08-01T00:00:00Z.
const NOW_US: i64 = 1_785_542_400_000_000;
const ID: &str = "0123456789abcdef0123456789abcdef";

const OVERVIEW: &str = r#"{"time":"2026-08-01T00:00:00.000Z","version":"0.1.0","worker":"ingest-1",
 "rates":{"messages_per_s":1234.5,"rows_per_s":56.7,"landings_per_min":12.0},"devices":{"online":58,"silent":2,"unknown":1},
 "alerts":{"firing":2,"acknowledged":1,"silenced":0,"pending":3},"sources":3,"lag":{"messages":1200,"oldest_s":31.5},
 "dead_letters":{"total":40,"last_hour":12},"troubles":[
 {"what":"messages become dead letters, more and more: json_syntax (40 since the start)","since":"2026-07-31T23:58:30.000Z","remedy":"/api/v1/dead-letters shows which; mend the rule or the device, then replay them","severity":"warning"},
 {"what":"broker cannot work: 127.0.0.1:1883: refused, not authorized: check username, password_file, certificates and the client id's rights","since":"2026-07-31T22:00:00.000Z","remedy":"docs/operations.md says what each part needs; the log has more","severity":"critical"}]}"#;
const SOURCES: &str = r#"{"sources":[
 {"source":"gateway","epoch":"00c0ffee00c0ffee","state":"here","accepted":1234567,"landed":1234000,"pending":567,"dropped":0,"dead_letters":40,"heard":"2026-08-01T00:00:00.000Z","devices":58},
 {"source":"agent-ward-3","epoch":"0123456789abcdef","state":"away","accepted":null,"landed":9000,"pending":null,"dropped":7,"dead_letters":0,"heard":"2026-07-31T20:00:00.000Z","devices":null}]}"#;
const DEVICES: &str = r#"{"totals":{"online":1,"silent":1,"unknown":1},"next":"abc","devices":[
 {"site":"ward-3","device":"monitor-002","source":"gateway","status":"online","heard":"2026-07-31T23:59:59.000Z","rows_per_minute":120,"metrics":[],"alerts":[]},
 {"site":"ward-3","device":"fridge-1","source":"agent-ward-3","status":"silent","heard":"2026-07-31T20:00:00.000Z","rows_per_minute":0,"metrics":[],"alerts":[{"alert":"0123456789abcdef0123456789abcdef","rule":"fridge-warm","severity":"critical","state":"firing","site":"ward-3","device":"fridge-1","source":"agent-ward-3","metric":"fridge_temp","value":"9.5 Cel","threshold":"above 8 for 15m","since":"2026-07-31T23:40:00.000Z","by":null,"until":null}]},
 {"site":"home","device":"体温計\u001b[2J\u202e","source":"gateway","status":"unknown","heard":null,"rows_per_minute":1,"metrics":[],"alerts":[]}]}"#;
const TOPICS: &str = r#"{"left_out":3,"next":null,"topics":[
 {"topic":"dt/ward-3/monitor-002/readings","rule":"built-in rule 1, dt/+/+/readings","rows_per_minute":120,"last":"2026-07-31T23:59:59.000Z","bytes":1234567,"dead_letters":0},
 {"topic":"home/livingroom/\u009b31mtemperature","rule":null,"rows_per_minute":0,"last":"2026-07-31T23:00:00.000Z","bytes":21,"dead_letters":21}]}"#;
const ALERTS: &str = r#"{"next":null,"alerts":[
 {"alert":"0123456789abcdef0123456789abcdef","rule":"fridge-warm","severity":"critical","state":"firing","site":"ward-3","device":"fridge-1","source":"agent-ward-3","metric":"fridge_temp","value":"9.5 Cel","threshold":"above 8 for 15m","since":"2026-07-31T23:40:00.000Z","by":null,"until":null},
 {"alert":"1123456789abcdef0123456789abcdef","rule":"source-silent","severity":"warning","state":"firing","site":"","device":"","source":"agent-ward-3","metric":"","value":"4 h","threshold":"silent for 5m","since":"2026-07-31T20:05:00.000Z","by":null,"until":null},
 {"alert":"2123456789abcdef0123456789abcdef","rule":"spo2-low","severity":"warning","state":"silenced","site":"ward-3","device":"monitor-002","source":"gateway","metric":"spo2","value":"88 %","threshold":"below 90","since":"2026-07-31T23:00:00.000Z","by":"nurse-7","until":"2026-08-01T02:00:00.000Z"}]}"#;
const DEAD_LETTERS: &str = r#"{"reasons":[
 {"reason":"json_syntax","count":30,"last":"2026-07-31T23:59:00.000Z","topics":[{"topic":"dt/ward-3/monitor-009/readings","count":21},{"topic":"dt/ward-3/pump-1/readings","count":9}]},
 {"reason":"topic_unknown","count":10,"last":"2026-07-31T12:00:00.000Z","topics":[{"topic":"a/b","count":10}]}]}"#;
const LIMITS: &str = r#"{"limits":[
 {"name":"spool","used":970000000,"max":1000000000,"effect":"new messages are refused, or the oldest dropped (spool.when_full)","setting":"gateway.spool.bytes_max"},
 {"name":"connections","used":85,"max":100,"effect":"further connections are closed at once","setting":"gateway.limits.connections_max"},
 {"name":"event_listeners","used":1,"max":64,"effect":"further listeners to events are answered with 503","setting":null}]}"#;
const CONNECTIONS: &str = r#"{"next":null,"refusals":[{"reason":"not_authorized","count":4,"last":"2026-07-31T12:00:00.000Z"}],"connections":[
 {"client_id":"mon-2","identity":"monitor-002","connected":true,"since":"2026-07-31T12:00:00.000Z","waiting":null},
 {"client_id":"dashboard","identity":"ops","connected":false,"since":"2026-07-31T23:50:00.000Z","waiting":1500}]}"#;

const FILLED: [(Ask, &str); 8] = [
    (Ask::Overview, OVERVIEW),
    (Ask::Sources, SOURCES),
    (Ask::Devices, DEVICES),
    (Ask::Topics, TOPICS),
    (Ask::Alerts, ALERTS),
    (Ask::DeadLetters, DEAD_LETTERS),
    (Ask::Limits, LIMITS),
    (Ask::Connections, CONNECTIONS),
];

const EMPTY: [(Ask, &str); 8] = [
    (
        Ask::Overview,
        r#"{"time":"2026-08-01T00:00:00.000Z","version":"0.1.0","worker":null,"rates":{"messages_per_s":0,"rows_per_s":0,"landings_per_min":0},"devices":{"online":0,"silent":0,"unknown":0},"alerts":{"firing":0,"acknowledged":0,"silenced":0,"pending":0},"sources":null,"lag":{"messages":null,"oldest_s":null},"dead_letters":{"total":0,"last_hour":0},"troubles":[]}"#,
    ),
    (Ask::Sources, r#"{"sources":[]}"#),
    (Ask::Devices, r#"{"devices":[],"totals":{"online":0,"silent":0,"unknown":0},"next":null}"#),
    (Ask::Topics, r#"{"topics":[],"left_out":0,"next":null}"#),
    (Ask::Alerts, r#"{"alerts":[],"next":null}"#),
    (Ask::DeadLetters, r#"{"reasons":[]}"#),
    (Ask::Limits, r#"{"limits":[]}"#),
    (Ask::Connections, r#"{"connections":[],"refusals":[],"next":null}"#),
];

fn state(answers: &[(Ask, &str)]) -> State {
    let mut state = State::new("127.0.0.1:8080".into(), Duration::from_secs(2), true);
    state.event(Event::Tick(Duration::from_secs(60), NOW_US));
    for (ask, text) in answers {
        let answer = ask.read(200, text.as_bytes()).unwrap();
        state.event(Event::Answer(*ask, Ok(answer)));
    }
    state
}

/// What is on the screen, line by line.
fn screen(state: &State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, frame)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for y in 0..height {
        let mut line = String::new();
        let mut x = 0;
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // A wide character has the next place, too.
            x += u16::try_from(ratatui::text::Span::raw(symbol).width()).unwrap().max(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn check(name: &str, seen: &str, golden: &str) {
    assert!(!seen.chars().any(|c| c != '\n' && c.is_control()), "{seen:?}");
    if seen == golden {
        return;
    }
    let folder = std::env::temp_dir().join("tidemark-top-golden");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), seen).unwrap();
    panic!("{name} is not as in golden/; it is in {} now:\n{seen}", folder.display());
}

macro_rules! golden {
    ($name:literal, $seen:expr) => {
        check($name, &$seen, include_str!(concat!("golden/", $name)))
    };
}

fn at(view: View, answers: &[(Ask, &str)]) -> State {
    let mut state = state(answers);
    state.view = view;
    state
}

#[test]
fn the_overview_says_how_it_is_and_what_to_do() {
    let mut state = at(View::Overview, &FILLED);
    for messages in [100.0, 400.0, 1600.0] {
        state.past.messages.push_back(messages);
    }
    golden!("overview-100x30.txt", screen(&state, 100, 30));
    golden!("overview-80x24.txt", screen(&state, 80, 24));
}

#[test]
fn sources_devices_and_topics() {
    golden!("sources-100x30.txt", screen(&at(View::Sources, &FILLED), 100, 30));
    golden!("sources-80x24.txt", screen(&at(View::Sources, &FILLED), 80, 24));
    golden!("devices-100x30.txt", screen(&at(View::Devices, &FILLED), 100, 30));
    golden!("devices-80x24.txt", screen(&at(View::Devices, &FILLED), 80, 24));
    golden!("topics-100x30.txt", screen(&at(View::Topics, &FILLED), 100, 30));
    golden!("topics-80x24.txt", screen(&at(View::Topics, &FILLED), 80, 24));
}

#[test]
fn alerts_dead_letters_limits_and_connections() {
    golden!("alerts-100x30.txt", screen(&at(View::Alerts, &FILLED), 100, 30));
    golden!("alerts-80x24.txt", screen(&at(View::Alerts, &FILLED), 80, 24));
    golden!("dead-letters-100x30.txt", screen(&at(View::DeadLetters, &FILLED), 100, 30));
    golden!("dead-letters-80x24.txt", screen(&at(View::DeadLetters, &FILLED), 80, 24));
    golden!("limits-100x30.txt", screen(&at(View::Limits, &FILLED), 100, 30));
    golden!("limits-80x24.txt", screen(&at(View::Limits, &FILLED), 80, 24));
    golden!("connections-100x30.txt", screen(&at(View::Connections, &FILLED), 100, 30));
    golden!("connections-80x24.txt", screen(&at(View::Connections, &FILLED), 80, 24));
}

#[test]
fn with_nothing_there_each_view_says_what_to_do() {
    let all = View::ALL.map(|view| screen(&at(view, &EMPTY), 80, 14));
    golden!("empty-80x14.txt", all.concat());
}

#[test]
fn what_cannot_be_asked_is_said_in_place_with_the_age_of_what_is_shown() {
    let mut gone = at(View::Sources, &FILLED);
    gone.event(Event::Tick(Duration::from_secs(75), NOW_US + 15_000_000));
    let why = "nobody answers at 127.0.0.1:8080 (Connection refused (os error 111)): is the service running? --admin names another address";
    gone.event(Event::Answer(Ask::Sources, Err(Problem::Gone(why.into()))));
    golden!("gone-80x24.txt", screen(&gone, 80, 24));
    let mut never = at(View::Limits, &[]);
    let problem = Problem::Refused { status: 401, said: "log in: with the admin token".into() };
    never.event(Event::Answer(Ask::Limits, Err(problem)));
    let seen = screen(&never, 80, 24);
    assert!(seen.contains("Cannot be shown: 401: log in: with the admin token"), "{seen}");
    let asking = screen(&at(View::Limits, &[]), 80, 24);
    assert!(asking.contains("asking …"), "{asking}");
}

#[test]
fn small_screens_show_what_they_can_and_none_is_too_small_to_draw() {
    let all = View::ALL.map(|view| at(view, &FILLED));
    for state in &all {
        for (width, height) in [(1, 1), (39, 7), (40, 8), (40, 50), (200, 8), (57, 11), (0, 0)] {
            screen(state, width, height);
        }
    }
    golden!("devices-40x8.txt", screen(&all[2], 40, 8));
    let mut helped = at(View::Alerts, &FILLED);
    press(&mut helped, &[Key::Char('?')]);
    golden!("help-80x24.txt", screen(&helped, 80, 24));
}

#[test]
fn once_is_plain_text_and_says_whether_all_is_well() {
    let known = state(&FILLED);
    let (text, well) = once::told("127.0.0.1:8080", known.overview().unwrap(), known.alerts());
    assert!(!well);
    golden!("once.txt", text);
    let calm = state(&EMPTY);
    let (text, well) = once::told("127.0.0.1:8080", calm.overview().unwrap(), calm.alerts());
    assert!(well && text.contains("all is well"), "{text}");
    let (text, _) = once::told("127.0.0.1:8080", known.overview().unwrap(), None);
    assert!(text.contains("2 alerts are firing"), "{text}");
}

fn press(state: &mut State, keys: &[Key]) -> Vec<Action> {
    let all = keys.iter().flat_map(|key| state.event(Event::Key(*key)));
    all.filter(|action| !matches!(action, Action::Ask(_))).collect()
}

fn typed(text: &str) -> Vec<Key> {
    text.chars().map(Key::Char).collect()
}

#[test]
fn keys_turn_to_views_and_quit() {
    let mut state = state(&FILLED);
    for (key, view) in (b'1'..).zip(View::ALL) {
        press(&mut state, &[Key::Char(key.into())]);
        assert_eq!(state.view, view);
    }
    press(&mut state, &[Key::Tab]);
    assert_eq!(state.view, View::Overview);
    press(&mut state, &[Key::BackTab, Key::Left]);
    assert_eq!(state.view, View::Limits);
    for quit in [Key::Char('q'), Key::Interrupt] {
        assert_eq!(press(&mut state.clone(), &[quit]), [Action::Quit]);
    }
    press(&mut state, &[Key::Char('/'), Key::Char('q')]);
    assert_eq!(press(&mut state, &[Key::Interrupt]), [Action::Quit], "also while one types");
}

#[test]
fn a_search_finds_rows_and_the_marked_one_stays_marked() {
    let mut state = at(View::Devices, &FILLED);
    press(&mut state, &[Key::Char('/')]);
    press(&mut state, &typed("FRIDGE"));
    let seen = screen(&state, 80, 24);
    assert!(seen.contains("fridge-1") && !seen.contains("monitor-002"), "{seen}");
    assert!(seen.contains("/FRIDGE"), "{seen}");
    press(&mut state, &[Key::Enter, Key::Down]);
    assert!(screen(&state, 80, 24).contains("1 of 1, those with “FRIDGE” of 3"));
    press(&mut state, &[Key::Esc]);
    assert!(screen(&state, 80, 24).contains("2 of 3"), "the same row, among all");
    press(&mut state, &[Key::Char('/'), Key::Char('z'), Key::Enter]);
    assert!(screen(&state, 80, 24).contains("None of 3 has “z” in it"));
}

#[test]
fn rows_are_ordered_by_the_column_that_was_asked_for() {
    let mut state = at(View::Topics, &FILLED);
    let first = |state: &State| {
        let seen = screen(state, 100, 30);
        seen.lines().nth(4).unwrap().trim().chars().take(4).collect::<String>()
    };
    assert_eq!(first(&state), "dt/w");
    press(&mut state, &[Key::Char('o'), Key::Char('o'), Key::Char('o')]);
    assert!(screen(&state, 100, 30).contains("dead▼"));
    assert_eq!(first(&state), "home", "the most dead letters first");
    press(&mut state, &[Key::Char('O')]);
    assert_eq!(first(&state), "dt/w");
    for _ in 0..4 {
        press(&mut state, &[Key::Char('o')]);
    }
    assert_eq!(state.places[&View::Topics].sort, None, "as it was answered");
}

#[test]
fn an_alert_is_acknowledged_after_a_yes_and_it_is_the_one_that_was_marked() {
    let mut state = at(View::Alerts, &FILLED);
    assert_eq!(press(&mut state, &[Key::Char('a')]), []);
    let seen = screen(&state, 80, 24);
    assert!(seen.contains("Acknowledge fridge-warm on ward-3/fridge-1? y: yes, n: no"), "{seen}");
    assert_eq!(press(&mut state, &[Key::Char('x'), Key::Enter]), [], "a slip is no answer");
    // The list moves meanwhile.
    let other = ALERTS.replace(ID, "3123456789abcdef0123456789abcdef");
    let answer = Ask::Alerts.read(200, other.as_bytes()).unwrap();
    state.event(Event::Answer(Ask::Alerts, Ok(answer)));
    let words = "acknowledged: fridge-warm on ward-3/fridge-1".to_owned();
    let act = Action::Act { alert: ID.into(), act: Act::Acknowledge, words };
    assert_eq!(press(&mut state, &[Key::Char('y')]), [act]);
    assert_eq!(state.mode, Mode::Look);
    press(&mut state, &[Key::Char('a'), Key::Char('n')]);
    assert_eq!(press(&mut state, &[Key::Char('y')]), [], "no is no");
}

#[test]
fn an_alert_is_silenced_for_as_long_as_one_says() {
    let mut state = at(View::Alerts, &FILLED);
    press(&mut state, &[Key::Down, Key::Char('s'), Key::Up, Key::Up, Key::Down]);
    let seen = screen(&state, 80, 24);
    assert!(seen.contains("Silence source-silent on agent-ward-3 for 1h?"), "{seen}");
    let acts = press(&mut state, &[Key::Char('y')]);
    assert!(matches!(&acts[..], [Action::Act { act: Act::Silence("1h"), .. }]), "{acts:?}");
    let refused = Problem::Refused { status: 403, said: "the role may not".into() };
    state.event(Event::Acted("silenced for 1h: source-silent".into(), Err(refused)));
    assert!(
        screen(&state, 80, 24)
            .contains("not silenced for 1h: source-silent: 403: the role may not")
    );
    // Nothing is marked where there is nothing.
    let mut empty = at(View::Alerts, &EMPTY);
    press(&mut empty, &[Key::Char('a')]);
    assert_eq!(empty.mode, Mode::Look);
    let mut elsewhere = at(View::Devices, &FILLED);
    press(&mut elsewhere, &[Key::Char('a'), Key::Char('s')]);
    assert_eq!(elsewhere.mode, Mode::Look);
}

#[test]
fn answers_of_another_kind_are_told_apart() {
    let known = state(&FILLED);
    assert!(matches!(Ask::Alerts.read(200, ALERTS.as_bytes()), Ok(Answer::Alerts(_))));
    assert!(Ask::Alerts.read(200, OVERVIEW.as_bytes()).is_err());
    assert_eq!(known.past.messages.len(), 1);
}
