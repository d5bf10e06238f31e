//! Which keys exist at all, and which one was probably meant.

use super::{BrokerConfig, Config, NamesrvConfig};

/// Every key of RocketMQ 5.4.0, one a line (fact sheet: config-keys).
static ROCKETMQ_KEYS: &str = include_str!("rocketmq_keys.txt");

/// Differences up to one in this many characters are taken for a slip.
const CHARACTERS_PER_SLIP: usize = 3;

/// Whether any program of RocketMQ or CastMQ knows the key, in either spelling.
pub(super) fn is_known(key: &str) -> bool {
    ROCKETMQ_KEYS.lines().any(|name| name == key || snake_case(name) == key)
        || BrokerConfig::key(key).is_some()
        || NamesrvConfig::key(key).is_some()
}

/// The known key that looks most like `key`, in its spelling; `own` keys come first.
pub(super) fn nearest(key: &str, own: impl Iterator<Item = &'static str>) -> Option<String> {
    let wanted = letters(key);
    let (slips, name) = own
        .chain(ROCKETMQ_KEYS.lines())
        .map(|name| (edit_distance(&wanted, &letters(name)), name))
        .min_by_key(|(slips, _)| *slips)?;
    let near = slips <= wanted.len() / CHARACTERS_PER_SLIP;
    near.then(|| if key.contains('_') { snake_case(name) } else { name.to_owned() })
}

/// `brokerIP1` becomes `broker_ip1`, `checkCRCOnRecover` becomes `check_crc_on_recover`.
pub(super) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 8);
    let mut before = None;
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        let word_starts = match before {
            Some(before) if c.is_uppercase() => {
                !char::is_uppercase(before) || rest.peek().is_some_and(|after| after.is_lowercase())
            }
            _ => false,
        };
        if word_starts {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
        before = Some(c);
    }
    snake
}

/// What is left of a key when the spelling does not count.
fn letters(key: &str) -> Vec<char> {
    key.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect()
}

/// Levenshtein's distance: how many characters to insert, delete or replace.
fn edit_distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (b, cell) in to.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(from: &str, to: &str) -> usize {
        edit_distance(&letters(from), &letters(to))
    }

    #[test]
    fn the_edit_distance_counts_slips() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("listen_port", "listenPort"), 0);
    }

    #[test]
    fn every_field_is_its_rocketmq_name_in_snake_case() {
        for key in BrokerConfig::keys() {
            assert_eq!(snake_case(key.name), key.field);
        }
        for key in NamesrvConfig::keys() {
            assert_eq!(snake_case(key.name), key.field);
        }
    }

    #[test]
    fn a_slip_is_recognised_and_nonsense_is_not() {
        let own = || BrokerConfig::keys().iter().map(|key| key.name);
        assert_eq!(nearest("listnPort", own()).as_deref(), Some("listenPort"));
        assert_eq!(nearest("broker_nam", own()).as_deref(), Some("broker_name"));
        assert_eq!(nearest("brokername", own()).as_deref(), Some("brokerName"));
        assert_eq!(nearest("xyzzy", own()), None);
    }

    #[test]
    fn both_spellings_are_known() {
        for key in [
            "timerWarmEnable",
            "timer_warm_enable",
            "dLegerGroup",
            "useTLS",
            "kvConfigPath",
            "mailboxCapacity",
        ] {
            assert!(is_known(key), "{key}");
        }
        assert!(!is_known("listnPort"));
    }
}
