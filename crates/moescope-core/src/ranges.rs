//! Lists of numbers and inclusive ranges, such as `0,5-8`.

use std::{fmt::Display, str::FromStr};

/// Reads a list; where there is a largest number, a range without an end, such as `16-`, goes up to it.
///
/// # Errors
/// The first part that is neither a number nor a range from a smaller number to a larger one.
pub(crate) fn parse<N>(text: &str, largest: Option<N>) -> Result<Vec<(N, N)>, &str>
where
    N: Copy + FromStr + PartialOrd,
{
    text.split(',')
        .map(|part| range(part, largest).ok_or(part))
        .collect()
}

fn range<N>(part: &str, largest: Option<N>) -> Option<(N, N)>
where
    N: Copy + FromStr + PartialOrd,
{
    let number = |text: &str| text.trim().parse::<N>().ok();
    let (first, last) = match part.split_once('-') {
        None => (number(part)?, number(part)?),
        Some((first, last)) if last.trim().is_empty() => (number(first)?, largest?),
        Some((first, last)) => (number(first)?, number(last)?),
    };
    (first <= last).then_some((first, last))
}

/// A list as [`parse`] reads it, with the same largest number.
pub(crate) fn to_text<N>(ranges: &[(N, N)], largest: Option<N>) -> String
where
    N: Copy + Display + PartialEq,
{
    let parts: Vec<String> = ranges
        .iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else if Some(*last) == largest {
                format!("{first}-")
            } else {
                format!("{first}-{last}")
            }
        })
        .collect();
    parts.join(",")
}

/// Whether a number is in one of the ranges.
pub(crate) fn contain<N: Copy + PartialOrd>(ranges: &[(N, N)], number: N) -> bool {
    ranges
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_without_an_end_is_read_and_printed_only_where_there_is_a_largest_number() {
        assert_eq!(parse("0,5-", Some(9u8)), Ok(vec![(0, 0), (5, 9)]));
        assert_eq!(parse::<u8>("0,5-", None), Err("5-"));
        let ranges = [(0, 0), (5, 9), (9, 9)];
        assert_eq!(to_text(&ranges, Some(9u8)), "0,5-,9");
        assert_eq!(to_text(&ranges, None), "0,5-9,9");
    }

    #[test]
    fn ranges_hold_both_of_their_ends() {
        let ranges = [(0u8, 0), (5, 8)];
        let held: Vec<u8> = (0..10).filter(|n| contain(&ranges, *n)).collect();
        assert_eq!(held, [0, 5, 6, 7, 8]);
    }
}
