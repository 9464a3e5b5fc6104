//! As much of the protocol buffer format as `google.rpc.Status` needs: writing and reading.

/// Writes one message, field by field, in the order in which the methods are called.
#[derive(Default)]
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// An integer field; zero is the default and is not written.
    pub(crate) fn number(mut self, field: u64, value: u64) -> Self {
        if value > 0 {
            varint(&mut self.0, field << 3);
            varint(&mut self.0, value);
        }
        self
    }

    /// A text field; the empty text is the default and is not written.
    pub(crate) fn text(self, field: u64, value: &str) -> Self {
        if value.is_empty() { self } else { self.bytes(field, value.as_bytes()) }
    }

    /// A message field; it is written even when empty, for its presence says something.
    pub(crate) fn message(self, field: u64, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// A `google.protobuf.Any` field that holds `value`.
    pub(crate) fn any(self, field: u64, type_url: &str, value: &Self) -> Self {
        self.message(field, &Self::default().text(1, type_url).message(2, value))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn bytes(mut self, field: u64, value: &[u8]) -> Self {
        varint(&mut self.0, field << 3 | 2);
        varint(&mut self.0, value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Walks over the fields of a message; ends early where the bytes are not a message.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

/// What a field holds. Fixed-width numbers are skipped: no message that is read here has any.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Skipped,
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(len).ok()?)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Skipped)?,
            2 => {
                let len = self.varint()?;
                Value::Bytes(self.take(len)?)
            }
            5 => self.take(4).map(|_| Value::Skipped)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        field
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let inner = Message::default().number(1, 300);
        assert_eq!(inner.as_bytes(), [0x08, 0xac, 0x02]);
        let outer = Message::default().number(1, 0).text(2, "").text(3, "hi").message(4, &inner);
        assert_eq!(outer.as_bytes(), [0x1a, 2, b'h', b'i', 0x22, 3, 0x08, 0xac, 0x02]);
        let empty = Message::default().message(1, &Message::default());
        assert_eq!(empty.as_bytes(), [0x0a, 0]);
    }

    #[test]
    fn fields_are_read_back_and_unknown_ones_skipped() {
        let bytes = [0x08, 0xac, 0x02, 0x11, 1, 2, 3, 4, 5, 6, 7, 8, 0x1d, 1, 2, 3, 4, 0x22, 1, 9];
        let fields: Vec<_> = Fields(&bytes).collect();
        assert_eq!(
            fields,
            [
                (1, Value::Number(300)),
                (2, Value::Skipped),
                (3, Value::Skipped),
                (4, Value::Bytes(&[9])),
            ]
        );
    }

    #[test]
    fn bytes_that_are_cut_short_end_the_walk() {
        for bytes in [&[0x08][..], &[0x0a, 5, 1], &[0x0b], &[0xff; 11], &[0x09, 1]] {
            assert_eq!(Fields(bytes).count(), 0, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_read_back(field in 1_u64..1000, value in 1_u64..) {
            let message = Message::default().number(field, value);
            let fields: Vec<_> = Fields(message.as_bytes()).collect();
            assert_eq!(fields, [(field, Value::Number(value))]);
        }

        #[test]
        fn no_bytes_make_the_walk_panic(bytes in proptest::collection::vec(any::<u8>(), 0..99)) {
            assert!(Fields(&bytes).count() <= bytes.len());
        }
    }
}
