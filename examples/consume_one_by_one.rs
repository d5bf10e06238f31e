//! Takes messages one by one and acknowledges by hand; what is dropped comes again.

use std::time::Duration;

use castmq::client::{Client, Filter, Result, Start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(nameserver).await?;
    let consumer = client
        .push_consumer("example-by-hand")
        .subscribe("example", Filter::tags(["even", "odd"]))
        .start_from(Start::First)
        .await?;
    for _ in 0..10 {
        let Some(delivery) = consumer.recv().await else { break };
        match delivery.body().len() {
            0..=1000 => delivery.ack(),
            _ => delivery.dead_letter(),
        }
    }
    consumer.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
