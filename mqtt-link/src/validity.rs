//! When a certificate ends: the one member of X.509 (RFC 5280, section 4.1) that is read here, so that small devices need no library
//! for the others. Whether a certificate is good is decided by TLS.

/// Universal tags of DER.
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, if it is there.
const VERSION: u8 = 0xa0;

/// Takes the value that `der` begins with, and what is behind it.
fn value(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Lengths of more than four bytes are longer than any file.
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

fn expect(wanted: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = value(der)?;
    (tag == wanted).then_some((content, rest))
}

/// The last second in which a certificate holds, since the Unix epoch; `None` if it cannot be read.
pub(crate) fn not_after(certificate: &[u8]) -> Option<i64> {
    let (certificate, _) = expect(SEQUENCE, certificate)?;
    let (mut rest, _) = expect(SEQUENCE, certificate)?;
    if let Some((_, behind)) = expect(VERSION, rest) {
        rest = behind;
    }
    let (_serial, rest) = expect(INTEGER, rest)?;
    let (_algorithm, rest) = expect(SEQUENCE, rest)?;
    let (_issuer, rest) = expect(SEQUENCE, rest)?;
    let (validity, _) = expect(SEQUENCE, rest)?;
    let (_, _not_before, rest) = value(validity)?;
    let (tag, not_after, _) = value(rest)?;
    seconds(tag, not_after)
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`: RFC 5280 allows no other form of either.
fn seconds(tag: u8, text: &[u8]) -> Option<i64> {
    let digits = text.strip_suffix(b"Z")?;
    let two = |at: usize| {
        let &[tens, ones] = digits.get(at..at + 2)? else { return None };
        (tens.is_ascii_digit() && ones.is_ascii_digit())
            .then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
    };
    let (year, at) = match (tag, digits.len()) {
        (UTC_TIME, 12) => (two(0).map(|year| year + if year < 50 { 2000 } else { 1900 })?, 2),
        (GENERALIZED_TIME, 14) => (two(0)? * 100 + two(2)?, 4),
        _ => return None,
    };
    let (month, day) = (two(at)?, two(at + 2)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let of_day = two(at + 4)? * 3600 + two(at + 6)? * 60 + two(at + 8)?;
    Some(days(year, month, day) * 86_400 + of_day)
}

/// Days since 1970-01-01 in the Gregorian calendar. Years begin in March here, so that the day that may be missing is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms() {
        for (year, month, day, wanted) in [
            (2026, 11, 29, 1_795_910_400),
            (2049, 12, 31, 2_524_521_600),
            (2050, 3, 1, 2_529_705_600),
        ] {
            let mut wish = rcgen::CertificateParams::new(["device".to_owned()]).unwrap();
            wish.not_after = rcgen::date_time_ymd(year, month, day);
            let key = rcgen::KeyPair::generate().unwrap();
            let made = wish.self_signed(&key).unwrap();
            assert_eq!(not_after(made.der()), Some(wanted), "{year}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        let mut wish = rcgen::CertificateParams::new(["device".to_owned()]).unwrap();
        wish.not_after = rcgen::date_time_ymd(2030, 1, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = wish.self_signed(&key).unwrap();
        for cut in 0..made.der().len() {
            assert_eq!(not_after(&made.der()[..cut]), None, "{cut}");
        }
        assert_eq!(not_after(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 1]), None);
        assert_eq!(not_after(&[0x30, 0x89, 1]), None);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 2, 29), 11_016);
        assert_eq!(days(2100, 3, 1), 47_541);
        assert_eq!(seconds(UTC_TIME, b"700101000000Z"), Some(0));
        assert_eq!(seconds(UTC_TIME, b"7001010000Z"), None);
        assert_eq!(seconds(GENERALIZED_TIME, b"20301301000000Z"), None);
    }
}
