//! When files are deleted and when messages are refused, as pure rules (fact sheet: store 2.9).

use std::time::{Duration, SystemTime};

/// The bounds between which RocketMQ takes the ratios, percent.
const MAX_USED_BOUNDS: (u8, u8) = (10, 95);
const FORCIBLY_BOUNDS: (u8, u8) = (30, 85);
const REFUSE_BOUNDS: (u8, u8) = (35, 90);

/// What the configuration says about keeping files. Shares of the disk are in percent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// `fileReservedTime`: how long a file is kept after it was last written to.
    pub reserved: Duration,
    /// `deleteWhen`: hours of the local day, 0 to 23.
    pub hours: Vec<u8>,
    /// `diskMaxUsedSpaceRatio`: above it, expired files are deleted at any hour.
    pub max_used: u8,
    /// `diskSpaceCleanForciblyRatio`: above it, the oldest files are deleted whatever their age.
    pub forcibly_at: u8,
    /// `diskSpaceWarningLevelRatio`: above it, messages are refused.
    pub refuse_at: u8,
    /// `cleanFileForciblyEnable`.
    pub may_force: bool,
    /// `deleteFileBatchMax`: files of one round.
    pub batch: usize,
    /// `deleteCommitLogFilesInterval`: the pause after each file.
    pub pause: Duration,
}

/// Which files a round may delete; always the oldest first, never the last, and up to the first that it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// None.
    Nothing,
    /// Those whose time is over.
    Expired,
    /// Any.
    Any,
}

impl Retention {
    /// What a round may delete at this local hour, when `used` percent of the disk are taken. `requested`: an
    /// operator wants expired files deleted now.
    pub fn deletion(&self, hour: u8, used: u8, requested: bool) -> Deletion {
        if self.may_force && self.is_pressing(used) {
            Deletion::Any
        } else if requested
            || self.hours.contains(&hour)
            || used > self.space_rule()
            || self.is_pressing(used)
        {
            Deletion::Expired
        } else {
            Deletion::Nothing
        }
    }

    /// Whether so much of the disk is taken that messages are refused.
    pub fn is_full(&self, used: u8) -> bool {
        used > clamped(self.refuse_at, REFUSE_BOUNDS)
    }

    /// Whether a file that was last written to at `modified` may be deleted.
    pub fn allows(&self, deletion: Deletion, modified: SystemTime, now: SystemTime) -> bool {
        match deletion {
            Deletion::Nothing => false,
            Deletion::Any => true,
            // Of the future it is after a clock was set back: then it is not old.
            Deletion::Expired => now.duration_since(modified).is_ok_and(|age| age >= self.reserved),
        }
    }

    fn space_rule(&self) -> u8 {
        clamped(self.max_used, MAX_USED_BOUNDS)
    }

    fn is_pressing(&self, used: u8) -> bool {
        used > clamped(self.forcibly_at, FORCIBLY_BOUNDS) || self.is_full(used)
    }
}

fn clamped(percent: u8, (least, most): (u8, u8)) -> u8 {
    percent.clamp(least, most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn rules() -> Retention {
        Retention {
            reserved: Duration::from_secs(72 * 3600),
            hours: vec![4, 16],
            max_used: 75,
            forcibly_at: 85,
            refuse_at: 90,
            may_force: true,
            batch: 10,
            pause: Duration::ZERO,
        }
    }

    #[test]
    fn expired_files_go_at_their_hours_on_request_and_when_the_disk_fills() {
        let rules = rules();
        for hour in 0..24 {
            let expected = if hour == 4 || hour == 16 { Deletion::Expired } else { Deletion::Nothing };
            assert_eq!(rules.deletion(hour, 75, false), expected, "at {hour}");
        }
        assert_eq!(rules.deletion(5, 10, true), Deletion::Expired);
        assert_eq!(rules.deletion(5, 76, false), Deletion::Expired);
        assert_eq!(rules.deletion(5, 85, false), Deletion::Expired);
    }

    #[test]
    fn a_pressing_disk_takes_any_file_unless_that_is_forbidden() {
        let forbidden = Retention { may_force: false, ..rules() };
        for used in [86, 90, 91, 100] {
            assert_eq!(rules().deletion(5, used, false), Deletion::Any);
            assert_eq!(forbidden.deletion(5, used, false), Deletion::Expired);
        }
        let odd = Retention { max_used: 95, ..rules() };
        assert_eq!(odd.deletion(5, 86, false), Deletion::Any, "the higher rule counts by itself");
    }

    #[test]
    fn messages_are_refused_above_the_warning_level_only() {
        assert!(!rules().is_full(90) && rules().is_full(91));
        let late = Retention { refuse_at: 99, ..rules() };
        assert!(late.is_full(91), "as in RocketMQ, 90 is the most");
        let early = Retention { refuse_at: 35, ..rules() };
        assert!(early.is_full(36) && !early.is_full(35));
    }

    #[test]
    fn a_file_expires_by_the_time_of_its_last_write() {
        let rules = rules();
        let modified = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let after = |age: Duration| modified + age;
        assert!(rules.allows(Deletion::Expired, modified, after(rules.reserved)));
        assert!(!rules.allows(Deletion::Expired, modified, after(rules.reserved - Duration::from_millis(1))));
        assert!(!rules.allows(Deletion::Expired, modified, modified - Duration::from_secs(1)));
        assert!(rules.allows(Deletion::Any, modified, modified));
        assert!(!rules.allows(Deletion::Nothing, modified, after(rules.reserved * 2)));
        let none = Retention { reserved: Duration::ZERO, ..rules };
        assert!(none.allows(Deletion::Expired, modified, modified));
    }
}
