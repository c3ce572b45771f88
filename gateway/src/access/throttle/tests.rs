//! Guessing is slow from one address and from many, and whoever knows the password gets in.

use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn address(number: u32) -> IpAddr {
    std::net::Ipv4Addr::from(0x0a00_0000 + number).into()
}

/// Tries as often as it is heard for a while; returns how often that was.
fn guesses(throttle: &mut Throttle, who: impl Fn(&Throttle) -> Who, seconds: u64) -> u64 {
    let who = who(throttle);
    let heard = (0..seconds * 4).map(|quarter| Duration::from_millis(quarter * 250));
    heard
        .filter(|now| {
            throttle.admit(who, *now).is_ok() && throttle.failed(who, *now).is_none_or(|_| true)
        })
        .count() as u64
}

#[test]
fn a_guesser_is_heard_a_few_times_and_then_once_a_minute() {
    let mut throttle = Throttle::default();
    let heard = guesses(&mut throttle, |t| t.who(address(1), b"mon-1"), 3600);
    assert!((60..=75).contains(&heard), "{heard} in an hour");
}

#[test]
fn waits_double_to_a_minute_and_end() {
    let mut throttle = Throttle::default();
    let who = throttle.who(address(1), b"mon-1");
    let (mut now, mut waits) = (at(0), Vec::new());
    for _ in 0..14 {
        throttle.admit(who, now).unwrap();
        let wait = throttle.failed(who, now).unwrap_or_default();
        if !wait.is_zero() {
            assert_eq!(throttle.admit(who, now), Err(wait));
        }
        waits.push(wait.as_secs());
        now += wait;
    }
    assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]);
    throttle.admit(who, now).unwrap();
    throttle.succeeded(who, now);
    assert_eq!(throttle.failed(who, now), None, "a success forgives");
    for _ in 0..9 {
        throttle.failed(who, now);
    }
    throttle.admit(who, now + FORGET).unwrap();
    assert_eq!(throttle.failed(who, now + FORGET), None, "and so does time");
}

#[test]
fn one_wrong_device_does_not_make_others_at_its_address_wait() {
    let mut throttle = Throttle::default();
    let wrong = throttle.who(address(1), b"mon-1");
    for _ in 0..1000 {
        throttle.failed(wrong, at(0));
    }
    assert!(throttle.admit(wrong, at(0)).is_err());
    let other = throttle.who(address(1), b"mon-2");
    throttle.admit(other, at(0)).unwrap();
}

#[test]
fn one_guess_for_each_of_many_names_is_slow_too() {
    let mut throttle = Throttle::default();
    let mut heard = 0;
    for second in 0..3600_u64 {
        let who = throttle.who(address(1), format!("name-{second}").as_bytes());
        if throttle.admit(who, at(second)).is_ok() {
            throttle.failed(who, at(second));
            heard += 1;
        }
    }
    assert!(heard <= u64::from(ADDRESS_FREE) + 70, "{heard} in an hour");
}

#[test]
fn many_addresses_guess_one_name_no_faster_than_once_each_and_a_minute() {
    let mut throttle = Throttle::default();
    let mut heard = 0;
    for second in 0..600_u64 {
        for number in 0..100 {
            let who = throttle.who(address(number), b"mon-1");
            if throttle.admit(who, at(second)).is_ok() {
                throttle.failed(who, at(second));
                heard += 1;
            }
        }
    }
    // Once a minute for each, and a few of the first.
    assert!(heard <= 100 * 10 + 200 + u64::from(NAME_FREE), "{heard} in ten minutes");
    let owner = throttle.who(address(5000), b"mon-1");
    throttle.admit(owner, at(600)).unwrap();
}

#[test]
fn inv8_what_is_remembered_is_limited() {
    let mut throttle = Throttle::default();
    for number in 0..100_000 {
        let who = throttle.who(address(number), &number.to_le_bytes());
        throttle.failed(who, at(0));
        throttle.succeeded(who, at(0));
        throttle.failed(who, at(0));
    }
    for entries in [&throttle.pairs, &throttle.names, &throttle.addresses] {
        assert!(entries.new.len() + entries.old.len() <= 2 * ENTRIES_MAX);
    }
    assert!(throttle.trusted.new.len() + throttle.trusted.old.len() <= 2 * ENTRIES_MAX);
}

#[derive(Debug, Clone)]
struct Event {
    address: u32,
    name: u8,
    right: bool,
    after_ms: u64,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0..4_u32, 0..4_u8, any::<bool>(), 0..5_000_u64);
    let event =
        event.prop_map(|(address, name, right, after_ms)| Event { address, name, right, after_ms });
    prop::collection::vec(event, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_owner_gets_in_whatever_others_do(events in events()) {
        let mut throttle = Throttle::default();
        let mut now = at(0);
        let home = throttle.who(address(0), &[0]);
        throttle.succeeded(home, now);
        for Event { address: number, name, right, after_ms } in events {
            now += Duration::from_millis(after_ms);
            let who = throttle.who(address(number), &[name]);
            if who == home {
                continue;
            }
            match throttle.admit(who, now) {
                Ok(()) if right => throttle.succeeded(who, now),
                Ok(()) => { throttle.failed(who, now); }
                Err(wait) => prop_assert!(wait <= WAIT_MAX),
            }
            prop_assert_eq!(throttle.admit(home, now), Ok(()), "where it has been in before");
            let away = throttle.who(address(99), &[0]);
            prop_assert_eq!(throttle.admit(away, now), Ok(()), "where nobody has failed");
        }
        for number in 0..4 {
            let who = throttle.who(address(number), &[0]);
            prop_assert_eq!(throttle.admit(who, now + WAIT_MAX), Ok(()), "and a minute later anywhere");
        }
    }
}
