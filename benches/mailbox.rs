//! What a message to an actor costs, on the sender's thread and across threads, guard and counting included.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A bench that cannot run is to say so.

use std::sync::mpsc;
use std::thread;

use actix::{Arbiter, System};
use castmq::actors::supervision::{Address, Behaviour, Clock, Cx, Spec, Tree};
use divan::{Bencher, counter::ItemsCount};

fn main() {
    divan::main();
}

/// Messages that are under way together.
const TOGETHER: usize = 1000;

castmq::messages! {
    /// What the counting actor is told.
    enum Told {
        /// One more.
        Count,
        /// Say so when this is reached.
        Mark(mpsc::Sender<usize>),
        /// Tell yourself this often, then answer.
        Spin(usize, mpsc::Sender<usize>),
    }
}

struct Counting(usize);

impl Behaviour for Counting {
    type Message = Told;
    const KIND: &'static str = "counting";

    fn handle(&mut self, message: Told, cx: &mut Cx<'_, Self>) {
        match message {
            Told::Count => self.0 += 1,
            Told::Mark(reply) => reply.send(self.0).unwrap(),
            Told::Spin(0, reply) => reply.send(self.0).unwrap(),
            Told::Spin(left, reply) => cx.address().complete(Told::Spin(left - 1, reply)),
        }
    }
}

/// An actor on a thread of its own, for as long as the process lives.
fn start() -> Address<Told> {
    let (up, address) = mpsc::channel();
    thread::spawn(move || {
        System::new().block_on(async move {
            let control = Arbiter::new();
            let own = Arbiter::new();
            let tree = Tree::new("bench", Clock::system(), &control.handle());
            let address = tree.root().child(Spec::new("counting", &own.handle()), || Ok(Counting(0)));
            tree.start();
            tree.started().await.unwrap();
            up.send(address).unwrap();
            std::future::pending::<()>().await;
        });
    });
    address.recv().unwrap()
}

#[divan::bench]
fn tell_another_thread(bencher: Bencher<'_, '_>) {
    let address = start();
    bencher.counter(ItemsCount::new(TOGETHER)).bench_local(|| {
        (0..TOGETHER).for_each(|_| address.complete(Told::Count));
        let (reply, counted) = mpsc::channel();
        address.complete(Told::Mark(reply));
        counted.recv().unwrap()
    });
}

#[divan::bench]
fn tell_the_own_thread(bencher: Bencher<'_, '_>) {
    let address = start();
    bencher.counter(ItemsCount::new(TOGETHER)).bench_local(|| {
        let (reply, counted) = mpsc::channel();
        address.complete(Told::Spin(TOGETHER, reply));
        counted.recv().unwrap()
    });
}

#[divan::bench]
fn ask_another_thread_and_wait(bencher: Bencher<'_, '_>) {
    let address = start();
    bencher.counter(ItemsCount::new(1usize)).bench_local(|| {
        let (reply, counted) = mpsc::channel();
        address.complete(Told::Mark(reply));
        counted.recv().unwrap()
    });
}
