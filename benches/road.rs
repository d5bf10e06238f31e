//! The whole road of a send and of a pull: over a socket, through every actor, to the files and back.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A bench that cannot run is to say so.

use castmq::{
    config,
    protocol::codes::RequestCode,
    testing::{Connection as Client, RunningBroker as Running, message, pull, receipt},
};
use divan::{Bencher, counter::ItemsCount};

fn main() {
    divan::main();
}

/// Requests that are under way together.
const IN_FLIGHT: usize = 64;
/// Messages that lie ready to be pulled.
const STORED: usize = 3_200;
/// Messages of a pull answer.
const PULLED: usize = 32;

fn start() -> (tempfile::TempDir, Running, Client) {
    let dir = tempfile::tempdir().unwrap();
    let broker =
        Running::start_with(dir.path(), |config| config.mapped_file_size_commit_log = config::Bytes(1 << 30));
    let mut client = broker.connect();
    client.encoding = castmq::protocol::header::Encoding::RocketMq;
    client.create_topic("bench", 4);
    (dir, broker, client)
}

/// Sends that many messages, and takes their answers.
fn send(client: &mut Client, count: usize, body: &[u8]) {
    for nth in 0..count {
        client.tell(RequestCode::SEND_MESSAGE_V2, &message("bench", (nth % 4) as i32, "").compact(), body);
    }
    for _ in 0..count {
        receipt(&client.read().unwrap()).unwrap();
    }
}

#[divan::bench(args = [256, 1024])]
fn send_64_in_flight(bencher: Bencher<'_, '_>, body: usize) {
    let (_dir, _broker, mut client) = start();
    let body = vec![b'x'; body];
    bencher.counter(ItemsCount::new(IN_FLIGHT)).bench_local(|| send(&mut client, IN_FLIGHT, &body));
}

#[divan::bench]
fn send_one_and_wait(bencher: Bencher<'_, '_>) {
    let (_dir, _broker, mut client) = start();
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| send(&mut client, 1, &[b'x'; 1024]));
}

#[divan::bench]
fn pull_32_messages_of_1_kib(bencher: Bencher<'_, '_>) {
    let (_dir, _broker, mut client) = start();
    (0..STORED / IN_FLIGHT).for_each(|_| send(&mut client, IN_FLIGHT, &[b'x'; 1024]));
    client.drain("bench", 0, STORED / 4);
    let mut from = 0;
    bencher.counter(ItemsCount::new(PULLED)).bench_local(|| {
        from = (from + PULLED as i64) % (STORED as i64 / 4 - PULLED as i64);
        client.tell(RequestCode::PULL_MESSAGE, &pull("bench", 0, from, "*", 0), b"");
        client.read().unwrap().body
    });
}
