//! The broker at its nameservers: one actor for each, which keeps a connection, registers at once and then
//! every period, tells of changed topics at once, and takes the broker out when it stops
//! (fact sheet: remoting 2.2, 2.4).

mod registrar;
mod requests;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use actix::ArbiterHandle;

use self::registrar::{Registrar, RegistrarMessage};
use super::supervision::{Address, Branch, Spec, Strategy};
use crate::protocol::{kv::KvTable, register::TopicConfigSerializeWrapper};

/// Bounds of the period, as in RocketMQ.
const PERIODS: std::ops::RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(60);
/// How long the stop of one may take: a nameserver that does not answer is left as it is.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Who registers, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The nameservers, `host:port`.
    pub nameservers: Vec<String>,
    /// The broker's cluster.
    pub cluster: String,
    /// The name that a master shares with its slaves.
    pub broker_name: String,
    /// 0 for the master.
    pub broker_id: i64,
    /// Where clients reach it, `ip:port`.
    pub broker_addr: String,
    /// Where slaves reach it, `ip:port`.
    pub ha_addr: String,
    /// How often it registers; 10 to 60 s, others count as the nearer of these.
    pub period: Duration,
    /// Whether topics are sent deflated (`compressedRegister`). RocketMQ's own nameserver fails on them.
    pub compressed: bool,
    /// Whether a slave may act as master.
    pub enable_acting_master: bool,
    /// After how long without a word it counts as gone; absent for the nameserver's 120 s.
    pub heartbeat_timeout: Option<Duration>,
}

/// What a broker registers in full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrationData {
    /// All topics, with the version of their table.
    pub topics: TopicConfigSerializeWrapper,
}

/// The broker, as its registration sees it. A function that gives the data is one that wants no answers.
pub trait Registrant: Send + Sync + 'static {
    /// What to register now. Called on the registrars' thread, once for each nameserver and period.
    fn data(&self) -> RegistrationData;

    /// The nameserver's table of topics with an order, if it has one.
    fn order_topics(&self, _table: &KvTable) {}

    /// A slave is told where its master is.
    fn master_found(&self, _master: &FoundMaster) {}
}

impl<F: Fn() -> RegistrationData + Send + Sync + 'static> Registrant for F {
    fn data(&self) -> RegistrationData {
        self()
    }
}

/// Where a slave finds its master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundMaster {
    /// Its address for requests.
    pub addr: String,
    /// Its address for slaves.
    pub ha_server_addr: String,
}

/// The way to tell all nameservers of a change. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Registration {
    registrars: Arc<[Address<RegistrarMessage>]>,
}

impl Registration {
    /// Tells all nameservers of these topics at once; `changed` holds only them, and the version that the
    /// table has with them. Whoever cannot be reached now is told everything when it can.
    pub fn topics_changed(&self, changed: TopicConfigSerializeWrapper) {
        let changed = Arc::new(changed);
        for registrar in &*self.registrars {
            if registrar.send(RegistrarMessage::TopicsChanged(changed.clone())).is_err() {
                tracing::warn!(
                    registrar = registrar.path(),
                    "busy: topics are told with the next registration"
                );
            }
        }
    }

    /// Registers in full everywhere now, not only when the period is over.
    pub fn register_now(&self) {
        for registrar in &*self.registrars {
            // A full mailbox holds such an order already.
            let _ = registrar.send(RegistrarMessage::RegisterNow);
        }
    }
}

/// Grows the branch `registration` below `parent`, with one actor for each nameserver.
pub fn grow(
    parent: &Branch,
    arbiter: &ArbiterHandle,
    settings: Settings,
    registrant: impl Registrant,
) -> Registration {
    let branch = parent.branch(Spec::new("registration", arbiter), Strategy::OneForOne);
    let registrant: Arc<dyn Registrant> = Arc::new(registrant);
    let period = settings.period.clamp(*PERIODS.start(), *PERIODS.end());
    let settings = Arc::new(Settings { period, ..settings });
    let registrar = |nameserver: &String| {
        let (settings, registrant, nameserver) = (settings.clone(), registrant.clone(), nameserver.clone());
        branch.child(Spec::new(nameserver.as_str(), arbiter).shutdown(SHUTDOWN), move || {
            Ok(Registrar::new(nameserver.clone(), settings.clone(), registrant.clone()))
        })
    };
    Registration { registrars: settings.nameservers.iter().map(registrar).collect() }
}
