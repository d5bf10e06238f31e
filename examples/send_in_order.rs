//! Sends the steps of several orders, those of one order to one queue.

use castmq::client::{Client, Message, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(nameserver).await?;
    let producer = client.producer("example-producer").await?;
    for step in ["created", "paid", "shipped"] {
        for order in ["order 1", "order 2", "order 3"] {
            let receipt =
                producer.send(Message::new("example", format!("{order} {step}"))).ordered_by(order).await?;
            println!("{order} {step}: queue {}", receipt.queue.queue_id);
        }
    }
    producer.shutdown().await;
    Ok(())
}
