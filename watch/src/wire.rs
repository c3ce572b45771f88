//! How the state is written: little endian, counts as LEB128, texts with their length. Reading never trusts a length.

/// The bytes end too early, or say what can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

/// Writes values one after another.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
    /// Times are written apart from this one, microseconds.
    pub(crate) base_us: i64,
}

impl Writer {
    pub(crate) fn byte(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub(crate) fn count(&mut self, value: usize) {
        self.unsigned(value as u64);
    }

    pub(crate) fn unsigned(&mut self, mut value: u64) {
        if value < 0x80 {
            return self.bytes.push(value.to_le_bytes()[0]);
        }
        let (mut bytes, mut len) = ([0; 10], 0);
        while value >= 0x80 {
            bytes[len] = value.to_le_bytes()[0] | 0x80;
            value >>= 7;
            len += 1;
        }
        bytes[len] = value.to_le_bytes()[0];
        self.bytes.extend(&bytes[..=len]);
    }

    /// Small numbers of either sign take few bytes.
    pub(crate) fn signed(&mut self, value: i64) {
        self.unsigned(zigzag(value));
    }

    /// A time: few bytes for one near the base, and one for that which never was.
    pub(crate) fn time(&mut self, us: i64) {
        let code =
            if us == i64::MIN { 0 } else { zigzag(us.wrapping_sub(self.base_us)).wrapping_add(1) };
        self.unsigned(code);
    }

    pub(crate) fn double(&mut self, value: f64) {
        self.bytes.extend(value.to_bits().to_le_bytes());
    }

    pub(crate) fn wide(&mut self, value: u128) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.count(value.len());
        self.bytes.extend(value.as_bytes());
    }
}

fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Reads what [`Writer`] wrote.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) bytes: &'a [u8],
    /// Times are apart from this one, microseconds.
    pub(crate) base_us: i64,
    /// Times are numbers like all others.
    pub(crate) plain: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, base_us: 0, plain: false }
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.bytes.split_at_checked(bytes).ok_or(Broken)?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Broken> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// A count of things that follow, each of at least one byte.
    pub(crate) fn count(&mut self) -> Result<usize, Broken> {
        let count = usize::try_from(self.unsigned()?).map_err(|_| Broken)?;
        if count > self.bytes.len() { Err(Broken) } else { Ok(count) }
    }

    pub(crate) fn number<T: TryFrom<u64>>(&mut self) -> Result<T, Broken> {
        T::try_from(self.unsigned()?).map_err(|_| Broken)
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = u64::from(self.byte()?);
            let bits = byte & 0x7f;
            if shift == 63 && bits > 1 {
                return Err(Broken);
            }
            value |= bits << shift;
            if byte < 0x80 {
                // One spelling for each number: the same state is the same bytes.
                return if byte == 0 && shift > 0 { Err(Broken) } else { Ok(value) };
            }
        }
        Err(Broken)
    }

    pub(crate) fn signed(&mut self) -> Result<i64, Broken> {
        self.unsigned().map(unzigzag)
    }

    /// See [`Writer::time`].
    pub(crate) fn time(&mut self) -> Result<i64, Broken> {
        if self.plain {
            return self.signed();
        }
        Ok(match self.unsigned()?.checked_sub(1) {
            None => i64::MIN,
            Some(code) => unzigzag(code).wrapping_add(self.base_us),
        })
    }

    pub(crate) fn double(&mut self) -> Result<f64, Broken> {
        let bytes: [u8; 8] = self.take(8)?.try_into().map_err(|_| Broken)?;
        Ok(f64::from_bits(u64::from_le_bytes(bytes)))
    }

    pub(crate) fn wide(&mut self) -> Result<u128, Broken> {
        let bytes: [u8; 16] = self.take(16)?.try_into().map_err(|_| Broken)?;
        Ok(u128::from_le_bytes(bytes))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Broken> {
        let length = self.count()?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Broken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_and_a_cut_is_an_error(u: u64, i: i64, d: f64, w: u128, t in ".{0,20}", base_us in 0..i64::MAX, us in any::<i64>(), cut: prop::sample::Index) {
            let mut writer = Writer::default();
            writer.unsigned(u);
            writer.signed(i);
            writer.double(d);
            writer.wide(w);
            writer.text(&t);
            writer.base_us = base_us;
            // The one time that is as far from the base as a number goes is none that could be.
            let us = if us.wrapping_sub(base_us) == i64::MIN { 0 } else { us };
            writer.time(us);
            let bytes = writer.bytes;
            let read = |bytes: &[u8]| -> Result<_, Broken> {
                let mut reader = Reader { base_us, ..Reader::new(bytes) };
                let read = (reader.unsigned()?, reader.signed()?, reader.double()?.to_bits(), reader.wide()?, reader.text()?.to_owned(), reader.time()?);
                Ok(read)
            };
            prop_assert_eq!(read(&bytes), Ok((u, i, d.to_bits(), w, t, us)));
            prop_assert_eq!(read(&bytes[..cut.index(bytes.len())]), Err(Broken));
        }

        #[test]
        fn no_bytes_make_it_panic_or_allocate(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            while reader.unsigned().is_ok() && reader.text().is_ok() {}
        }
    }
}
