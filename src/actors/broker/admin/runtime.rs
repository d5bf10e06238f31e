//! What a broker says of itself while it runs (code 28, fact sheet: remoting 9.3).

use std::{collections::BTreeMap, fmt::Display, path::Path, time::Duration};

use super::{
    answer::{Answer, Answered},
    ask::extent,
};
use crate::{
    actors::{broker::Broker, delivery::Timer, remoting::Request, statistics::Rates},
    protocol::{
        kv::KvTable,
        topic::{SCHEDULE, TIMER_WHEEL},
    },
};

/// The version that tools print.
const VERSION: &str = "V5_4_0";

/// What RocketMQ's pools and meters would show; here requests wait in mailboxes, whose delays are not measured.
const AT_REST: [(&str, &str); 21] = [
    ("EndTransactionQueueSize", "0"),
    ("EndTransactionThreadPoolQueueCapacity", "100000"),
    ("ackThreadPoolQueueCapacity", "100000"),
    ("ackThreadPoolQueueHeadWaitTimeMills", "0"),
    ("ackThreadPoolQueueSize", "0"),
    ("litePullThreadPoolQueueCapacity", "100000"),
    ("litePullThreadPoolQueueHeadWaitTimeMills", "0"),
    ("litePullThreadPoolQueueSize", "0"),
    ("pullThreadPoolQueueCapacity", "100000"),
    ("pullThreadPoolQueueHeadWaitTimeMills", "0"),
    ("pullThreadPoolQueueSize", "0"),
    ("queryThreadPoolQueueCapacity", "20000"),
    ("queryThreadPoolQueueHeadWaitTimeMills", "0"),
    ("queryThreadPoolQueueSize", "0"),
    ("sendThreadPoolQueueCapacity", "10000"),
    ("sendThreadPoolQueueHeadWaitTimeMills", "0"),
    ("sendThreadPoolQueueSize", "0"),
    ("dispatchMaxBuffer", "0"),
    ("pageCacheLockTimeMills", "0"),
    ("startAcceptSendRequestTimeStamp", "0"),
    ("brokerActive", "true"),
];

/// GET_BROKER_RUNTIME_INFO 28.
pub(super) fn info(broker: &Broker, _request: &Request) -> Answered {
    let mut table: BTreeMap<String, String> =
        AT_REST.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let mut put = |key: &str, value: &dyn Display| drop(table.insert(key.to_owned(), value.to_string()));
    log(broker, &mut put);
    traffic(broker, &mut put);
    disks(broker, &mut put);
    for (level, next) in broker.delivery.offset_table().offset_table {
        let (_, max) = extent(broker, SCHEDULE, level - 1);
        if max > 0 {
            put(&format!("scheduleMessageOffset_{level}"), &format!("{next},{max}"));
        }
    }
    let now = broker.clock.now();
    let timer = broker.delivery.timer();
    let (_, timer_end) = extent(broker, TIMER_WHEEL, 0);
    let (in_wheel, late) = timer.map_or((timer_end, 0), |timer| (timer.next().0, timer.late_by(now)));
    put("timerReadBehind", &(late / 1000));
    put("timerOffsetBehind", &(timer_end - in_wheel).max(0));
    put("timerCongestNum", &timer.map_or(0, Timer::waiting));
    let up = u64::try_from(now - broker.started).unwrap_or(0);
    put("bootTimestamp", &broker.started);
    put("brokerVersionDesc", &VERSION);
    put("runtime", &uptime(Duration::from_millis(up)));
    Answer::json(&KvTable { table })
}

fn log(broker: &Broker, put: &mut dyn FnMut(&str, &dyn Display)) {
    let (log, marks) = (broker.store.log(), broker.store.watermarks());
    let (min, max) = (log.min_offset(), log.max_offset());
    put("commitLogMinOffset", &min.0);
    put("commitLogMaxOffset", &max.0);
    put("dispatchBehindBytes", &max.since(marks.dispatched.get()));
    put("remainHowManyDataToFlush", &readable(max.since(marks.flushed.get()) as u64));
    put("remainTransientStoreBufferNumbs", &log.free_buffers().unwrap_or(i32::MAX as usize));
    put("earliestMessageTimeStamp", &log.store_timestamp(min).unwrap_or(-1));
}

/// What was counted since the start.
fn traffic(broker: &Broker, put: &mut dyn FnMut(&str, &dyn Display)) {
    let traffic = broker.store.traffic();
    let stored = traffic.stored.get();
    // As in RocketMQ, never 0.
    let messages = stored.messages.max(1);
    put("putMessageTimesTotal", &messages);
    put("putMessageSizeTotal", &stored.bytes);
    put("putMessageAverageSize", &format_args!("{:?}", stored.bytes as f64 / messages as f64));
    put("putMessageFailedTimes", &traffic.failed.get().times);
    let times = &traffic.store_times;
    put("putMessageEntireTimeMax", &times.longest());
    put("putMessageDistributeTime", &times.last_minute().as_deref().unwrap_or("null"));
    put("putLatency99", &format_args!("{:.2}", times.quantile(0.99)));
    put("putLatency999", &format_args!("{:.2}", times.quantile(0.999)));
    put("getMessageEntireTimeMax", &traffic.cold_times.longest());
    let days = broker.statistics.days();
    for (time, counts) in
        [("YesterdayMorning", days.yesterday), ("TodayMorning", days.today), ("TodayNow", days.now)]
    {
        for (what, count) in ["Put", "Get"].into_iter().zip(counts) {
            put(&format!("msg{what}Total{time}"), &count);
        }
    }
    let rates = &broker.statistics;
    put("putTps", &windows(rates.rates(|totals| totals.stored)));
    put("getFoundTps", &windows(rates.rates(|totals| totals.found)));
    put("getMissTps", &windows(rates.rates(|totals| totals.missed)));
    let all = rates.rates(|totals| totals.found + totals.missed);
    put("getTotalTps", &windows(all.map(|rate| Some(rate.unwrap_or(0.0)))));
    put("getTransferredTps", &windows(rates.rates(|totals| totals.read)));
    put("timerEnqueueTps", &latest(rates.rates(|totals| totals.timed)));
    put("timerDequeueTps", &latest(rates.rates(|totals| totals.due)));
}

/// Rates with blanks between them; nothing stands for a span that is not over yet.
fn windows(rates: Rates) -> String {
    rates.map(|rate| rate.map(|rate| format!("{rate:?}")).unwrap_or_default()).join(" ")
}

/// The rate over the shortest span alone; 0 until that is over.
fn latest([rate, ..]: Rates) -> String {
    format!("{:?}", rate.unwrap_or(0.0))
}

fn disks(broker: &Broker, put: &mut dyn FnMut(&str, &dyn Display)) {
    let config = broker.config.get();
    let log_dir = config.commit_log_dir();
    let disk = Disk::of(&log_dir);
    let ratio = disk.used_share();
    put(
        "commitLogDirCapacity",
        &format!("Total : {}, Free : {}.", readable(disk.total), readable(disk.free)),
    );
    put("commitLogDiskRatio", &ratio);
    put(&format!("commitLogDiskRatio_{}", log_dir.display()), &ratio);
    put("consumeQueueDiskRatio", &Disk::of(&config.store_path_root_dir).used_share());
}

/// The file system that a directory is on, in bytes.
struct Disk {
    total: u64,
    used: u64,
    /// What may still be used, which can be less than what is not used.
    free: u64,
}

impl Disk {
    /// Zero where the system does not say.
    fn of(dir: &Path) -> Self {
        rustix::fs::statvfs(dir).map_or(Self { total: 0, used: 0, free: 0 }, |disk| Self {
            total: disk.f_blocks.saturating_mul(disk.f_frsize),
            used: disk.f_blocks.saturating_sub(disk.f_bfree).saturating_mul(disk.f_frsize),
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
        })
    }

    /// The used share of what may be used, as RocketMQ counts it.
    fn used_share(&self) -> f64 {
        if self.total == 0 { -1.0 } else { self.used as f64 / (self.used + self.free).max(1) as f64 }
    }
}

fn readable(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = bytes.ilog2() / 10;
    let unit = UNITS.get(power as usize - 1).copied().unwrap_or_default();
    format!("{:.1} {unit}", bytes as f64 / f64::from(1024).powi(power as i32))
}

fn uptime(up: Duration) -> String {
    let seconds = up.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    format!("[ {days} days, {hours} hours, {minutes} minutes, {} seconds ]", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_written_as_tools_expect_them() {
        assert_eq!(windows([Some(12.5), Some(0.0), None]), "12.5 0.0 ");
        assert_eq!(readable(842), "842 B");
        assert_eq!(readable(1536), "1.5 KiB");
        assert_eq!(readable(3 << 30), "3.0 GiB");
        assert_eq!(uptime(Duration::from_secs(472)), "[ 0 days, 0 hours, 7 minutes, 52 seconds ]");
    }
}
