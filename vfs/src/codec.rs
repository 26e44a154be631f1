//! The one place where values become bytes at rest and bytes become values again: bincode 2, standard configuration.
//!
//! bincode holds its limit on decoding only and accepts trailing bytes; both are closed here. What goes through this
//! module is always a payload inside a checksummed frame whose layout is stated in bytes, so the library can be
//! exchanged without a change of the format (variable-length integers, little-endian; enum variants numbered in the
//! order they are written down).
//!
//! Types that go through here keep to three rules: paths as bytes, times as [`Time`](crate::Time), no recursion.

use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};

/// The largest value that is encoded or decoded, in bytes: 16 MiB.
pub const VALUE_BYTES_MAX: usize = 16 << 20;

/// Why bytes are not a value, or a value cannot become bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodecError {
    /// The value takes more than [`VALUE_BYTES_MAX`] bytes.
    TooLarge,
    /// The bytes end early, ask for more than the limit, or name a variant that does not exist.
    Malformed(String),
    /// The value ends before the bytes do.
    Trailing {
        /// How many bytes are left over.
        bytes: usize,
    },
}

impl std::fmt::Display for CodecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLarge => write!(f, "value is larger than {VALUE_BYTES_MAX} bytes"),
            Self::Malformed(why) => write!(f, "malformed value: {why}"),
            Self::Trailing { bytes } => write!(f, "{bytes} bytes left over after the value"),
        }
    }
}

impl std::error::Error for CodecError {}

fn config() -> Configuration<LittleEndian, Varint, Limit<VALUE_BYTES_MAX>> {
    standard().with_limit::<VALUE_BYTES_MAX>()
}

/// Appends the bytes of `value` to `out`.
///
/// # Errors
/// [`CodecError::TooLarge`]; `out` is then as it was.
pub fn encode_into<T: bincode::Encode>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    let start = out.len();
    let encoded = bincode::encode_into_std_write(value, out, config());
    let bytes = out.len() - start;
    match encoded {
        Ok(_) if bytes <= VALUE_BYTES_MAX => Ok(()),
        Ok(_) => {
            out.truncate(start);
            Err(CodecError::TooLarge)
        }
        Err(error) => {
            out.truncate(start);
            Err(CodecError::Malformed(error.to_string()))
        }
    }
}

/// The bytes of `value`.
///
/// # Errors
/// [`CodecError::TooLarge`].
pub fn encode<T: bincode::Encode>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut out = Vec::new();
    encode_into(value, &mut out)?;
    Ok(out)
}

/// The value that `bytes` are, all of them.
///
/// # Errors
/// Any [`CodecError`]; hostile bytes cost at most [`VALUE_BYTES_MAX`] of memory and never a panic.
pub fn decode<T: bincode::Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > VALUE_BYTES_MAX {
        return Err(CodecError::TooLarge);
    }
    let (value, consumed) =
        bincode::decode_from_slice(bytes, config()).map_err(|error| CodecError::Malformed(error.to_string()))?;
    if consumed != bytes.len() {
        return Err(CodecError::Trailing { bytes: bytes.len() - consumed });
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_refuses_leftovers() {
        let bytes = encode(&(7u32, b"a/\xff".to_vec())).unwrap();
        assert_eq!(decode::<(u32, Vec<u8>)>(&bytes).unwrap(), (7, b"a/\xff".to_vec()));
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(decode::<(u32, Vec<u8>)>(&longer), Err(CodecError::Trailing { bytes: 1 }));
        assert!(decode::<(u32, Vec<u8>)>(&bytes[..bytes.len() - 1]).is_err());
    }

    #[test]
    fn a_length_that_asks_for_the_moon_is_refused_without_memory() {
        // 253 announces a u64 that follows: the length of a byte vector.
        let mut hostile = vec![253];
        hostile.extend_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(decode::<Vec<u8>>(&hostile), Err(CodecError::Malformed(_))));
        assert_eq!(encode(&vec![0u8; VALUE_BYTES_MAX + 1]), Err(CodecError::TooLarge));
    }
}
