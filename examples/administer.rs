//! Makes a topic, shows where it lies and how far it is, and removes it.

use castmq::client::{Client, Result, Topic};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let nameserver = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9876".to_owned());
    let admin = Client::connect(nameserver).await?.admin();
    for (cluster, brokers) in admin.clusters().await?.cluster_addr_table {
        println!("{cluster}: {brokers:?}");
    }
    admin.create_topic(Topic::new("example-short-lived").queues(2)).await?;
    for (queue, extent) in admin.topic_stats("example-short-lived").await?.offset_table {
        println!("{} {}: {} to {}", queue.broker_name, queue.queue_id, extent.min_offset, extent.max_offset);
    }
    admin.delete_topic("example-short-lived").await
}
