//! Finds the message on which a gateway cuts the connection each time: a pure state machine.
//!
//! Nobody says in MQTT 3.1.1 why a connection is cut. When several in a row are cut with nothing acknowledged, what is under way is
//! sent one by one; the one that is cut alone as often is set aside, and the others go on.

/// Cuts in a row, with nothing acknowledged, that are not the network's doing.
const CUTS_MAX: u32 = 3;

/// See the module.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Poison {
    cuts: u32,
    one_by_one: bool,
}

/// What to do about a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    Retry,
    /// The oldest message under way can never be sent.
    SetAside,
}

impl Poison {
    /// Whether messages go out one by one now, nothing else beside.
    pub(crate) fn one_by_one(&self) -> bool {
        self.one_by_one
    }

    /// Something was answered; `left` messages are still under way.
    pub(crate) fn answered(&mut self, left: usize) {
        self.cuts = 0;
        // Those that were under way with it are looked at one by one as well.
        self.one_by_one &= left > 0;
    }

    /// The connection was cut by the other side with `left` messages under way.
    pub(crate) fn cut(&mut self, left: usize) -> Advice {
        if left == 0 {
            return Advice::Retry;
        }
        self.cuts += 1;
        if self.cuts < CUTS_MAX {
            return Advice::Retry;
        }
        self.cuts = 0;
        if !self.one_by_one && left > 1 {
            self.one_by_one = true;
            return Advice::Retry;
        }
        self.one_by_one = left > 1;
        Advice::SetAside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_that_is_always_cut_is_found_among_others() {
        let mut poison = Poison::default();
        let cut_thrice = |poison: &mut Poison, left| [(); 3].map(|()| poison.cut(left))[2];
        assert_eq!(cut_thrice(&mut poison, 5), Advice::Retry, "which one is not known yet");
        assert!(poison.one_by_one());
        poison.answered(4);
        assert_eq!(cut_thrice(&mut poison, 4), Advice::SetAside);
        assert!(poison.one_by_one(), "the rest may have more of them");
        poison.answered(0);
        assert!(!poison.one_by_one());
    }

    #[test]
    fn cuts_with_answers_between_them_are_the_networks() {
        let mut poison = Poison::default();
        for _ in 0..100 {
            assert_eq!(poison.cut(3), Advice::Retry);
            poison.answered(2);
        }
        assert!(!poison.one_by_one());
        for _ in 0..100 {
            assert_eq!(poison.cut(0), Advice::Retry, "nothing was being sent");
        }
    }
}
