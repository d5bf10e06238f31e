//! What went through the broker, by topic and group: sums and rates over time (fact sheet: remoting 9.3).
//!
//! Whoever stores or reads counts it where it happens, without a lock (`store::tally`). One actor looks at the
//! counters now and then, and keeps samples; the tables of samples outlive it.

mod series;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use actix::ArbiterHandle;

use self::series::{Part, Seconds, Series};
use crate::{
    actors::supervision::{Behaviour, Branch, Cx, Millis, Readiness, Spec},
    protocol::stats::BrokerStatsData,
    store::{
        Store,
        local_time::local_hour,
        tally::{Counted, Traffic},
    },
};

const TICK: Duration = Duration::from_secs(1);
/// Seconds between two looks at all counters; the totals are looked at every second.
const SAMPLED_EVERY: u64 = 10;
/// Seconds of which it is shown how long storing took.
const SECONDS_SHOWN: u64 = 60;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Stored,
    Read,
    SentBack,
    /// Of the whole broker.
    AllStored,
    AllRead,
    StoredByUsers,
    ReadByUsers,
}

/// What RocketMQ calls a kind, and the part of it that is meant.
fn named(name: &str) -> Option<(Kind, Part)> {
    let messages: Part = |counted| counted.messages;
    let bytes: Part = |counted| counted.bytes;
    Some(match name {
        "TOPIC_PUT_NUMS" => (Kind::Stored, messages),
        "TOPIC_PUT_SIZE" => (Kind::Stored, bytes),
        "GROUP_GET_NUMS" => (Kind::Read, messages),
        "GROUP_GET_SIZE" => (Kind::Read, bytes),
        "SNDBCK_PUT_NUMS" => (Kind::SentBack, messages),
        "BROKER_PUT_NUMS" => (Kind::AllStored, messages),
        "BROKER_GET_NUMS" => (Kind::AllRead, messages),
        "BROKER_PUT_NUMS_WITHOUT_SYSTEM_TOPIC" => (Kind::StoredByUsers, messages),
        "BROKER_GET_NUMS_WITHOUT_SYSTEM_TOPIC" => (Kind::ReadByUsers, messages),
        _ => return None,
    })
}

/// Messages stored and read by whom they concern, at three times.
#[derive(Debug, Clone, Copy, Default)]
pub struct Days {
    /// Until midnight a day before the last one.
    pub yesterday: [u64; 2],
    /// Until the last midnight.
    pub today: [u64; 2],
    /// Until now.
    pub now: [u64; 2],
}

/// What was counted of the whole broker since it began.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Messages stored.
    pub stored: u64,
    /// Pulls that found messages.
    pub found: u64,
    /// Pulls that found none.
    pub missed: u64,
    /// Messages read.
    pub read: u64,
    /// Messages that went into the timer wheel.
    pub timed: u64,
    /// Messages that came out of it when they were due.
    pub due: u64,
}

impl Totals {
    fn of(traffic: &Traffic) -> Self {
        let found = traffic.found.get();
        Self {
            stored: traffic.stored.get().messages,
            found: found.times,
            missed: traffic.missed.get().times,
            read: found.messages,
            timed: traffic.timed.get().messages,
            due: traffic.due.get().messages,
        }
    }
}

/// Rates over 10 s, a minute and ten minutes, per second.
pub type Rates = [Option<f64>; 3];

/// Samples, and who asks for them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Statistics(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    /// Figures of the whole broker are asked for under its cluster's name.
    cluster: String,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// By kind, and topic, `topic@group` or cluster.
    series: HashMap<(Kind, String), Series>,
    totals: Seconds<Totals>,
    days: Days,
    hour: Option<u8>,
    /// Since the first actor began.
    seconds: u64,
}

/// Grows the actor `statistics` below `parent`.
pub fn grow(parent: &Branch, arbiter: &ArbiterHandle, store: &Arc<Store>, cluster: &str) -> Statistics {
    let (store, cluster) = (store.clone(), cluster.to_owned());
    let statistics = Statistics(Arc::new(Shared { store, cluster, table: Mutex::default() }));
    let own = statistics.clone();
    parent.child(Spec::new("statistics", arbiter), move || Ok(Sampler(own.clone())));
    statistics
}

impl Statistics {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn traffic(&self) -> &Traffic {
        self.0.store.traffic()
    }

    /// The figures of that name and key; `None` when there are none. Zeros until the next sample.
    pub fn show(&self, name: &str, key: &str) -> Option<BrokerStatsData> {
        let (kind, part) = named(name)?;
        if let Some(series) = self.table().series.get(&(kind, key.to_owned())) {
            return Some(series.show(part));
        }
        let counted = self.collect().remove(&(kind, key.to_owned()));
        counted.map(|_| BrokerStatsData::default())
    }

    /// Messages stored in a topic, per second.
    pub fn stored_per_second(&self, topic: &str) -> f64 {
        self.per_second(Kind::Stored, topic.to_owned())
    }

    /// Messages that a group reads of a topic, per second.
    pub fn read_per_second(&self, topic: &str, group: &str) -> f64 {
        self.per_second(Kind::Read, format!("{topic}@{group}"))
    }

    fn per_second(&self, kind: Kind, key: String) -> f64 {
        let table = self.table();
        table.series.get(&(kind, key)).map_or(0.0, |series| series.show(|one| one.messages).stats_minute.tps)
    }

    /// Rates of the whole broker, of one of these or a sum.
    pub fn rates(&self, of: impl Fn(&Totals) -> u64) -> Rates {
        self.table().totals.rates(of)
    }

    /// Messages stored and read since the start, apart from the system's.
    pub fn days(&self) -> Days {
        Days { now: self.by_users(), ..self.table().days }
    }

    fn by_users(&self) -> [u64; 2] {
        let traffic = self.traffic();
        [traffic.stored_by_users.get().messages, traffic.found_by_users.get().messages]
    }

    /// All that was ever counted.
    fn collect(&self) -> HashMap<(Kind, String), Counted> {
        let Shared { store, cluster, .. } = &*self.0;
        let traffic = self.traffic();
        let mut all: HashMap<(Kind, String), Counted> = HashMap::new();
        for topic in store.queues().topics() {
            let stored = store.queues().stored(&topic);
            all.insert((Kind::Stored, topic), stored);
        }
        for (kind, counts) in [(Kind::Read, traffic.all_read()), (Kind::SentBack, traffic.all_sent_back())] {
            let keys =
                counts.into_iter().map(|((topic, group), one)| ((kind, format!("{topic}@{group}")), one));
            all.extend(keys);
        }
        for (kind, tally) in [
            (Kind::AllStored, &traffic.stored),
            (Kind::AllRead, &traffic.found),
            (Kind::StoredByUsers, &traffic.stored_by_users),
            (Kind::ReadByUsers, &traffic.found_by_users),
        ] {
            all.insert((kind, cluster.clone()), tally.get());
        }
        all.retain(|_, counted| counted.times > 0);
        all
    }

    fn tick(&self, now: Millis) {
        let traffic = self.traffic();
        let seconds = self.table().seconds;
        let all = seconds.is_multiple_of(SAMPLED_EVERY).then(|| self.collect());
        if seconds.is_multiple_of(SECONDS_SHOWN) && seconds > 0 {
            traffic.store_times.turn();
        }
        let (hour, by_users) = (local_hour(now), self.by_users());
        let mut table = self.table();
        table.totals.sample(now, Totals::of(traffic));
        if table.hour.replace(hour).is_some_and(|before| before > hour) {
            table.days.yesterday = std::mem::replace(&mut table.days.today, by_users);
        }
        if let Some(all) = all {
            table.series.retain(|key, _| all.contains_key(key));
            for (key, counted) in all {
                table.series.entry(key).or_default().sample(seconds, now, counted);
            }
        }
        table.seconds += 1;
    }
}

crate::messages! {
    /// What the sampler tells itself.
    enum SamplerMessage {
        /// A second has passed.
        Tick,
    }
}

struct Sampler(Statistics);

impl Behaviour for Sampler {
    type Message = SamplerMessage;
    const KIND: &'static str = "statistics";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        cx.after(TICK, SamplerMessage::Tick);
        Readiness::Ready
    }

    fn handle(&mut self, SamplerMessage::Tick: SamplerMessage, cx: &mut Cx<'_, Self>) {
        self.0.tick(cx.clock().now());
        cx.after(TICK, SamplerMessage::Tick);
    }

    fn observe(&self) -> String {
        format!("{} series", self.0.table().series.len())
    }
}
