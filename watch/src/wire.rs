//! How the state is written: little endian, counts as LEB128, texts with their length. Reading never trusts a length.

/// The bytes end too early, or say what can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

/// Writes values one after another.
#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn count(&mut self, value: usize) {
        self.unsigned(value as u64);
    }

    pub(crate) fn unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }

    /// Small numbers of either sign take few bytes.
    pub(crate) fn signed(&mut self, value: i64) {
        self.unsigned((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned());
    }

    pub(crate) fn double(&mut self, value: f64) {
        self.0.extend(value.to_bits().to_le_bytes());
    }

    pub(crate) fn wide(&mut self, value: u128) {
        self.0.extend(value.to_le_bytes());
    }

    pub(crate) fn text(&mut self, value: &str) {
        self.count(value.len());
        self.0.extend(value.as_bytes());
    }
}

/// Reads what [`Writer`] wrote.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(Broken)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Broken> {
        self.take(1).map(|bytes| bytes[0])
    }

    /// A count of things that follow, each of at least one byte.
    pub(crate) fn count(&mut self) -> Result<usize, Broken> {
        let count = usize::try_from(self.unsigned()?).map_err(|_| Broken)?;
        if count > self.0.len() { Err(Broken) } else { Ok(count) }
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
        let value = self.unsigned()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
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
        fn what_is_written_is_read_and_a_cut_is_an_error(u: u64, i: i64, d: f64, w: u128, t in ".{0,20}", cut: prop::sample::Index) {
            let mut writer = Writer::default();
            writer.unsigned(u);
            writer.signed(i);
            writer.double(d);
            writer.wide(w);
            writer.text(&t);
            let bytes = writer.0;
            let read = |bytes: &[u8]| -> Result<_, Broken> {
                let mut reader = Reader(bytes);
                let read = (reader.unsigned()?, reader.signed()?, reader.double()?.to_bits(), reader.wide()?, reader.text()?.to_owned());
                Ok(read)
            };
            prop_assert_eq!(read(&bytes), Ok((u, i, d.to_bits(), w, t)));
            prop_assert_eq!(read(&bytes[..cut.index(bytes.len())]), Err(Broken));
        }

        #[test]
        fn no_bytes_make_it_panic_or_allocate(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader(&bytes);
            while reader.unsigned().is_ok() && reader.text().is_ok() {}
        }
    }
}
