//! The protobuf wire format. In: the bytes of one message. Out: its fields one by one, borrowed from the input. Never: an allocation, a panic.

use super::Malformed;

/// The value of one field as it stands on the wire.
#[derive(Debug, Clone, Copy)]
pub(super) enum WireValue<'a> {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(&'a [u8]),
}

impl<'a> WireValue<'a> {
    fn wire_type(self) -> u8 {
        match self {
            WireValue::Varint(_) => 0,
            WireValue::Fixed64(_) => 1,
            WireValue::Bytes(_) => 2,
            WireValue::Fixed32(_) => 5,
        }
    }

    pub(super) fn bytes(self, number: u32) -> Result<&'a [u8], Malformed> {
        match self {
            WireValue::Bytes(bytes) => Ok(bytes),
            other => Err(Malformed::WireType(number, other.wire_type())),
        }
    }

    pub(super) fn text(self, number: u32) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes(number)?).map_err(|_| Malformed::Text(number))
    }

    pub(super) fn varint(self, number: u32) -> Result<u64, Malformed> {
        match self {
            WireValue::Varint(value) => Ok(value),
            other => Err(Malformed::WireType(number, other.wire_type())),
        }
    }

    /// Negative numbers are sign-extended to ten bytes on the wire.
    pub(super) fn signed(self, number: u32) -> Result<i64, Malformed> {
        self.varint(number).map(u64::cast_signed)
    }

    pub(super) fn double(self, number: u32) -> Result<f64, Malformed> {
        match self {
            WireValue::Fixed64(bits) => Ok(f64::from_bits(bits)),
            WireValue::Fixed32(bits) => Ok(f32::from_bits(bits).into()),
            other => Err(Malformed::WireType(number, other.wire_type())),
        }
    }
}

pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next field, or None at the end of the message. Groups (wire types 3 and 4) are not used by this API and refused.
    pub(super) fn next(&mut self) -> Result<Option<(u32, WireValue<'a>)>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let wire_type = (key & 7) as u8;
        let number = u32::try_from(key >> 3).map_err(|_| Malformed::LongNumber)?;
        let value = match wire_type {
            0 => WireValue::Varint(self.varint()?),
            1 => WireValue::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed::Truncated)?;
                WireValue::Bytes(self.take(length)?)
            }
            5 => WireValue::Fixed32(u32::from_le_bytes(self.array()?)),
            other => return Err(Malformed::WireType(number, other)),
        };
        Ok(Some((number, value)))
    }

    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                return Err(Malformed::LongNumber);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::LongNumber)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed::Truncated)
    }
}
