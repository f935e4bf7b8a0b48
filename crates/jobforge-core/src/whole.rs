//! Whole numbers as JSON has them: `1838.0` is one too, and some languages write every number so.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Above this, floats are not exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

struct Whole<T>(T);

impl<'de, T: TryFrom<i128>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads<T>(PhantomData<T>);
        impl<T: TryFrom<i128>> Visitor<'_> for Reads<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number within its range")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
                let outside = || E::invalid_value(Unexpected::Signed(number), &self);
                T::try_from(i128::from(number)).map_err(|_| outside())
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
                let outside = || E::invalid_value(Unexpected::Unsigned(number), &self);
                T::try_from(i128::from(number)).map_err(|_| outside())
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
                let outside = || E::invalid_value(Unexpected::Float(number), &self);
                if number.fract() != 0.0 || number.abs() > EXACT {
                    return Err(outside());
                }
                T::try_from(number as i128).map_err(|_| outside())
            }
        }
        deserializer.deserialize_any(Reads(PhantomData)).map(Self)
    }
}

/// Reads one, for `#[serde(deserialize_with)]`.
///
/// # Errors
/// When it is not whole, or out of the type's range.
pub fn number<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<T, D::Error> {
    Whole::deserialize(deserializer).map(|Whole(number)| number)
}

/// Reads one that may be null.
///
/// # Errors
/// As [`number`].
pub fn maybe<'de, D: Deserializer<'de>, T: TryFrom<i128>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Whole<T>>::deserialize(deserializer)?.map(|Whole(number)| number))
}

#[cfg(test)]
mod tests {
    #[derive(Debug, serde::Deserialize)]
    struct Given {
        #[serde(default, deserialize_with = "super::maybe")]
        n: Option<u64>,
    }

    #[test]
    fn whole_numbers_are_read_however_they_are_written() {
        let read = |text: &str| serde_json::from_str::<Given>(text).map(|given| given.n).map_err(|_| ());
        assert_eq!(read(r#"{"n": 1838}"#), Ok(Some(1838)));
        assert_eq!(read(r#"{"n": 1838.0}"#), Ok(Some(1838)));
        assert_eq!(read(r#"{"n": 1.838e3}"#), Ok(Some(1838)));
        assert_eq!(read(r#"{"n": 18446744073709551615}"#), Ok(Some(u64::MAX)));
        assert_eq!((read(r#"{"n": null}"#), read("{}")), (Ok(None), Ok(None)));
        for bad in ["1838.5", "-1", "-1.0", "1e30", "\"1\"", "true"] {
            assert_eq!(read(&format!(r#"{{"n": {bad}}}"#)), Err(()), "{bad}");
        }
    }
}
