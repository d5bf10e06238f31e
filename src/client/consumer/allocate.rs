//! Which member of a group reads which queue: rules that every member applies by itself, in any language, and
//! comes to the same result (fact sheet: client 4.2).

use std::collections::{BTreeMap, BTreeSet};

use crate::protocol::message::MessageQueue;

/// Nodes of each member on the ring of [`Allocation::ConsistentHash`].
const NODES: usize = 10;

/// How the queues of a topic are shared among the members of a group; all members must use the same.
///
/// ```
/// use castmq::client::{Allocation, MessageQueue};
/// let queue = |queue_id| MessageQueue { broker_name: "b".into(), queue_id, topic: "T".into() };
/// let (queues, members) = ([queue(0), queue(1), queue(2)], ["a".to_owned(), "b".to_owned()]);
/// assert_eq!(Allocation::Average.allocate("a", &queues, &members), [queue(0), queue(1)]);
/// assert_eq!(Allocation::Circle.allocate("a", &queues, &members), [queue(0), queue(2)]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Allocation {
    /// Neighbouring queues, the first members get one more; Java's `AVG`.
    #[default]
    Average,
    /// In turn; Java's `AVG_BY_CIRCLE`.
    Circle,
    /// By a hash ring, which moves few queues when members come and go; Java's `CONSISTENT_HASH` with ten
    /// virtual nodes.
    ConsistentHash,
    /// Only queues of brokers named `room@name`, of these rooms; Java's `MACHINE_ROOM`.
    MachineRoom(BTreeSet<String>),
    /// These, whoever else there is; Java's `CONFIG`.
    Fixed(Vec<MessageQueue>),
}

impl Allocation {
    /// The queues of member `own`. Queues and members are expected in their sorted order, as all members see
    /// them; one who is not among the members gets nothing.
    pub fn allocate(&self, own: &str, queues: &[MessageQueue], members: &[String]) -> Vec<MessageQueue> {
        let Some(index) = members.iter().position(|member| member == own) else { return Vec::new() };
        match self {
            Self::Average => average(index, queues, members.len()),
            Self::Circle => queues.iter().skip(index).step_by(members.len()).cloned().collect(),
            Self::ConsistentHash => consistent_hash(own, queues, members),
            Self::MachineRoom(rooms) => machine_room(index, queues, members.len(), rooms),
            Self::Fixed(queues) => queues.clone(),
        }
    }
}

fn average(index: usize, queues: &[MessageQueue], members: usize) -> Vec<MessageQueue> {
    let rest = queues.len() % members;
    let gets_one_more = rest > 0 && index < rest;
    let size = match queues.len() {
        few if few <= members => 1,
        many => many / members + usize::from(gets_one_more),
    };
    let start = if gets_one_more { index * size } else { index * size + rest };
    queues.iter().skip(start).take(size).cloned().collect()
}

fn consistent_hash(own: &str, queues: &[MessageQueue], members: &[String]) -> Vec<MessageQueue> {
    let ring: BTreeMap<u32, &str> = members
        .iter()
        .flat_map(|member| (0..NODES).map(move |node| (hash(&format!("{member}-{node}")), member.as_str())))
        .collect();
    let owner = |queue: &&MessageQueue| {
        let MessageQueue { topic, broker_name, queue_id } = queue;
        let text = format!("MessageQueue [topic={topic}, brokerName={broker_name}, queueId={queue_id}]");
        ring.range(hash(&text)..).next().or_else(|| ring.iter().next()).map(|(_, member)| *member)
    };
    queues.iter().filter(|queue| owner(queue) == Some(own)).cloned().collect()
}

/// The first four bytes of the MD5 sum.
fn hash(text: &str) -> u32 {
    let [a, b, c, d, ..] = md5::compute(text).0;
    u32::from_be_bytes([a, b, c, d])
}

fn machine_room(
    index: usize,
    queues: &[MessageQueue],
    members: usize,
    rooms: &BTreeSet<String>,
) -> Vec<MessageQueue> {
    let is_here = |queue: &&MessageQueue| match queue.broker_name.split('@').collect::<Vec<_>>()[..] {
        [room, _] => rooms.contains(room),
        _ => false,
    };
    let here: Vec<_> = queues.iter().filter(is_here).collect();
    let size = here.len() / members;
    let own = here.iter().skip(index * size).take(size);
    let left_over = (here.len() % members > index).then(|| here.get(index + size * members)).flatten();
    own.chain(left_over).map(|queue| (*queue).clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queues(broker: &str, count: i32) -> Vec<MessageQueue> {
        (0..count)
            .map(|queue_id| MessageQueue { broker_name: broker.into(), queue_id, topic: "T".into() })
            .collect()
    }

    fn members(count: usize) -> Vec<String> {
        (0..count).map(|member| format!("127.0.0.1@{member}")).collect()
    }

    /// The queue ids of each member.
    fn shares(allocation: &Allocation, queues: &[MessageQueue], count: usize) -> Vec<Vec<i32>> {
        let members = members(count);
        let ids = |own: &String| {
            allocation.allocate(own, queues, &members).iter().map(|queue| queue.queue_id).collect()
        };
        members.iter().map(ids).collect()
    }

    /// Worked out by Java's own classes: tests/interop, `mixed/allocations-are-as-listed`.
    #[test]
    fn shares_are_those_of_java() {
        let rows = include_str!("allocations.tsv").lines().skip(1);
        for row in rows {
            let [strategy, layout, shares] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("{row}") };
            let allocation = match strategy {
                "average" => Allocation::Average,
                "circle" => Allocation::Circle,
                "consistent-hash" => Allocation::ConsistentHash,
                _ => Allocation::MachineRoom(["r1".to_owned(), "r2".to_owned()].into()),
            };
            let brokers = layout.split(' ').map(|broker| broker.split_once('=').unwrap());
            let all: Vec<_> =
                brokers.flat_map(|(name, count)| queues(name, count.parse().unwrap())).collect();
            let shares: Vec<&str> = shares.split(',').collect();
            let members: Vec<String> = (0..shares.len()).map(|member| format!("10.0.0.1@{member}")).collect();
            for (own, share) in members.iter().zip(&shares) {
                let allocated = allocation.allocate(own, &all, &members);
                let text: Vec<_> =
                    allocated.iter().map(|it| format!("{}:{}", it.broker_name, it.queue_id)).collect();
                assert_eq!(text.join(" "), **share, "{row}");
            }
        }
    }

    #[test]
    fn a_stranger_gets_nothing_and_a_fixed_list_is_kept() {
        let all = queues("b", 4);
        assert_eq!(Allocation::Average.allocate("stranger", &all, &members(2)), []);
        let fixed = Allocation::Fixed(all[1..2].to_vec());
        assert_eq!(shares(&fixed, &all, 2), [[1], [1]]);
    }

    #[test]
    fn every_queue_has_exactly_one_owner() {
        for allocation in [Allocation::Average, Allocation::Circle, Allocation::ConsistentHash] {
            for (count, members) in [(1, 1), (7, 3), (3, 7), (16, 5)] {
                let mut owned = shares(&allocation, &queues("b", count), members).concat();
                owned.sort();
                assert_eq!(owned, (0..count).collect::<Vec<_>>(), "{allocation:?} {count} {members}");
            }
        }
    }
}
