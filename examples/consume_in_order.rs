//! Consumes each queue in order; a message that fails holds up its queue until it is done with.

use castmq::client::{Client, Filter, Outcome, Result, Start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(nameserver).await?;
    let consumer = client
        .push_consumer("example-in-order")
        .subscribe("example", Filter::all())
        .start_from(Start::First)
        .ordered()
        .await?;
    consumer
        .run(async |message| {
            println!("queue {}: {:?}", message.queue().queue_id, message.body());
            Outcome::Done
        })
        .await;
    Ok(())
}
