//! How a process ends. One test in a program of its own: signals and panic hooks belong to the process.

#![cfg(feature = "server")]

use std::{convert::Infallible, process::ExitCode, time::Duration};

use castmq::actors::{
    process::{self, Built},
    supervision::{Behaviour, Budget, Cx, Readiness, Spec},
};

/// An actor that cannot live.
struct Doomed;

impl Behaviour for Doomed {
    type Message = Infallible;
    const KIND: &'static str = "doomed";

    fn started(&mut self, cx: &mut Cx<'_, Self>) -> Readiness {
        cx.fail("no reason to live");
        Readiness::Ready
    }

    fn handle(&mut self, message: Infallible, _cx: &mut Cx<'_, Self>) {
        match message {}
    }
}

#[test]
fn a_tree_that_gives_up_and_one_that_cannot_be_built_end_the_process_with_failure() {
    let status = process::run("test", &[], |tree, threads| {
        let spec =
            Spec::new("doomed", &threads.start("doomed")).budget(Budget::new(2, Duration::from_secs(9)));
        tree.root().child(spec, || Ok(Doomed));
        Ok::<_, Infallible>(Built::default())
    });
    assert_eq!(format!("{status:?}"), format!("{:?}", ExitCode::FAILURE));
    let status = process::run("test", &[], |_, _| Err("nothing to build"));
    assert_eq!(format!("{status:?}"), format!("{:?}", ExitCode::FAILURE));
}
