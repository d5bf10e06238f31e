//! Reads a topic from its start at its own pace, and commits by hand.

use std::time::Duration;

use castmq::client::{Client, Result, Seek};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let client = Client::connect(nameserver).await?;
    let consumer = client.lite_consumer("example-audit").auto_commit(false).await?;
    let queues = consumer.queues_of("example").await?;
    consumer.assign(queues.clone()).await?;
    for queue in &queues {
        consumer.seek(queue, Seek::Begin).await?;
    }
    loop {
        let messages = consumer.poll(Duration::from_secs(1)).await?;
        if messages.is_empty() {
            break;
        }
        messages.iter().for_each(|message| println!("{} {:?}", message.queue_offset(), message.body()));
        consumer.commit().await?;
    }
    consumer.shutdown().await;
    Ok(())
}
