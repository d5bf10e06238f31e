//! What a supervisor knows of a child, and the rules by which it acts: plain data and functions.

use std::time::Duration;

use actix::ArbiterHandle;

/// When a child that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// Only after a failure.
    Transient,
    /// Never: it leaves the tree.
    Temporary,
}

/// Which siblings a failing child takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Strategy {
    /// None.
    OneForOne,
    /// All of them.
    OneForAll,
    /// Those that were started after it.
    RestForOne,
    /// None; children come and go while the tree lives, and all stop at once.
    Dynamic,
}

impl Strategy {
    /// Whether the failure of the child at `failed` takes along the sibling at `other`; places are in the
    /// order of start.
    pub fn takes_along(self, failed: u64, other: u64) -> bool {
        match self {
            Self::OneForOne | Self::Dynamic => false,
            Self::OneForAll => other != failed,
            Self::RestForOne => other > failed,
        }
    }
}

/// How often a child may fail before its supervisor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Restarts granted within the period; 0 escalates the first failure.
    pub restarts: usize,
    /// The period.
    pub within: Duration,
}

impl Budget {
    /// `restarts` within `within`.
    pub const fn new(restarts: usize, within: Duration) -> Self {
        Self { restarts, within }
    }

    /// The wait before the restart that follows `failures` failures within the period (1 is the first);
    /// `None` when the budget is spent.
    pub fn back_off(self, failures: usize) -> Option<Duration> {
        const STEPS: [u64; 5] = [0, 0, 10, 50, 250];
        const LONGEST: u64 = 1_000;
        (failures <= self.restarts)
            .then(|| Duration::from_millis(STEPS.get(failures).copied().unwrap_or(LONGEST)))
    }
}

impl Default for Budget {
    /// The generous one of a leaf: 5 in 10 s.
    fn default() -> Self {
        Self::new(5, Duration::from_secs(10))
    }
}

/// A child specification.
#[derive(Debug, Clone)]
pub struct Spec {
    pub(super) name: String,
    pub(super) restart: Restart,
    pub(super) budget: Budget,
    pub(super) shutdown: Duration,
    pub(super) capacity: usize,
    pub(super) arbiter: ArbiterHandle,
}

impl Spec {
    /// A permanent child on the given thread, with the default [`Budget`], 5 s to shut down and a mailbox of
    /// 1,024 messages. The name is unique among its siblings by the author's care; it is for people.
    pub fn new(name: impl Into<String>, arbiter: &ArbiterHandle) -> Self {
        Self {
            name: name.into(),
            restart: Restart::Permanent,
            budget: Budget::default(),
            shutdown: Duration::from_secs(5),
            capacity: 1_024,
            arbiter: arbiter.clone(),
        }
    }

    /// Sets when it is started again.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Sets how often it may fail.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.budget = budget;
        self
    }

    /// Sets how long its stop may take before the supervisor goes on without it.
    pub fn shutdown(mut self, within: Duration) -> Self {
        self.shutdown = within;
        self
    }

    /// Sets how many messages its mailbox holds.
    pub fn capacity(mut self, messages: usize) -> Self {
        self.capacity = messages;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_take_along_whom_otp_says() {
        assert!(!Strategy::OneForOne.takes_along(1, 2));
        assert!(!Strategy::Dynamic.takes_along(1, 2));
        assert!(Strategy::OneForAll.takes_along(2, 1) && Strategy::OneForAll.takes_along(2, 3));
        assert!(Strategy::RestForOne.takes_along(2, 3) && !Strategy::RestForOne.takes_along(2, 1));
    }

    #[test]
    fn the_first_restart_is_immediate_and_later_ones_wait_longer() {
        let budget = Budget::new(7, Duration::from_secs(10));
        let waits: Vec<_> = (1..=7).map(|n| budget.back_off(n).map(|d| d.as_millis())).collect();
        assert_eq!(waits, [Some(0), Some(10), Some(50), Some(250), Some(1000), Some(1000), Some(1000)]);
        assert_eq!(budget.back_off(8), None);
    }

    #[test]
    fn an_empty_budget_escalates_the_first_failure() {
        assert_eq!(Budget::new(0, Duration::from_secs(1)).back_off(1), None);
    }
}
